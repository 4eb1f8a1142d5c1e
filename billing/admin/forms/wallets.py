"""Dialogs of wallets: granting, revoking and closing prepaid credit."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.models import CreditGrant, EntryKind, GrantKind, Wallet
from billing.money import format_amount, known_currency
from config.inputs import DayField, NumberField
from config.office.dialogs import DayInput, ReasonForm
from config.office.wording import local_day
from customers.models import Customer

KINDS = [(kind, kind.label) for kind in (GrantKind.PURCHASED, GrantKind.PROMOTIONAL, GrantKind.CORRECTION)]


class GrantForm(ReasonForm):
    """Ask for the amount, type and expiry of a credit grant, and the reason."""

    amount = NumberField(max_digits=24, decimal_places=4, min_value=Decimal("0.0001"), localize=False)
    kind = forms.ChoiceField(
        label="Type", choices=KINDS, initial=GrantKind.PROMOTIONAL, widget=UnfoldAdminSelectWidget()
    )
    last_day = DayField(
        label="Last day",
        required=False,
        widget=DayInput(),
        help_text="The credit expires at the end of this day, UTC. Leave blank for no expiry.",
    )
    field_order = ("currency", "amount", "kind", "last_day", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].widget = UnfoldAdminDecimalFieldWidget()

    def grant_arguments(self) -> dict[str, Any]:
        """Return the arguments of `settlement.wallets.grant`, except for the wallet, the amount and the user."""
        last_day: Any = self.cleaned_data["last_day"]
        expires_at = datetime.combine(last_day, time(), tzinfo=UTC) + timedelta(days=1) if last_day else None
        return {
            "kind": self.cleaned_data["kind"],
            "reason": self.cleaned_data["reason"],
            "expires_at": expires_at,
            "now": timezone.now(),
        }


class CustomerGrantForm(GrantForm):
    """Ask for the currency as well. A wallet is created if the customer has none in it."""

    currency = forms.CharField(
        max_length=3, widget=UnfoldAdminTextInputWidget(), help_text="Three letters, for example USD."
    )

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        customer = Customer.objects.filter(pk=object_id or 0).first()
        self.fields["currency"].initial = customer.billing_currency if customer else ""

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).upper()
        if not known_currency(currency):
            raise forms.ValidationError("Enter a current ISO 4217 currency code, for example USD.")
        return currency


class GrantChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: CreditGrant) -> str:
        remaining = format_amount(obj.remaining, obj.wallet.currency)
        expiry = f", expires {local_day(obj.expires_at)}" if obj.expires_at else ""
        return f"{remaining} remaining of {obj}{expiry}: {obj.reason}"


class RevokeForm(ReasonForm):
    """Ask which credit to revoke, the amount, and the reason."""

    form_before_template = "admin/billing/wallet/take_back.html"
    of = GrantChoice(queryset=CreditGrant.objects.none(), label="Credit", widget=UnfoldAdminSelectWidget())
    amount = NumberField(
        max_digits=24, decimal_places=4, required=False, help_text="Leave blank to revoke the remaining amount."
    )
    how = forms.ChoiceField(
        label="Record as",
        choices=[(EntryKind.TAKEN_BACK, "Revoked"), (EntryKind.EXPIRED, "Expired early")],
        widget=UnfoldAdminSelectWidget(),
    )
    field_order = ("of", "amount", "how", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        wallet_id = kwargs.get("object_id")
        super().__init__(*args, **kwargs)
        self.fields["amount"].widget = UnfoldAdminDecimalFieldWidget()
        grants = CreditGrant.objects.usable(timezone.now()).select_related("wallet").order_by("-pk")
        field: Any = self.fields["of"]
        field.queryset = grants if wallet_id is None else grants.filter(wallet=wallet_id)

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return _wallet_context(object_id)


class CloseForm(ReasonForm):
    """Show the credit that the customer loses, and ask for a reason."""

    form_before_template = "admin/billing/wallet/close.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return _wallet_context(object_id)


def _wallet_context(object_id: int | str | None) -> dict[str, Any]:
    wallets = Wallet.objects.with_usable(timezone.now()).select_related("customer")
    return {"wallet": get_object_or_404(wallets, pk=object_id)}
