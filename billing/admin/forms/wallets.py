"""The questions of the wallets' pages: how much credit, until when, and why."""

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
from config.office.dialogs import ReasonForm
from config.office.wording import local_day
from customers.admin.forms import DayInput
from customers.models import Customer

KINDS = [(kind, kind.label) for kind in (GrantKind.PURCHASED, GrantKind.PROMOTIONAL, GrantKind.CORRECTION)]


class GrantForm(ReasonForm):
    """Ask how much credit to grant, until when, and why."""

    amount = forms.DecimalField(max_digits=24, decimal_places=4, min_value=Decimal("0.0001"), localize=False)
    kind = forms.ChoiceField(choices=KINDS, initial=GrantKind.PROMOTIONAL, widget=UnfoldAdminSelectWidget())
    last_day = forms.DateField(
        label="Last day", required=False, widget=DayInput(), help_text="Usable to the end of it, UTC. Empty: for ever."
    )
    field_order = ("currency", "amount", "kind", "last_day", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"].widget = UnfoldAdminDecimalFieldWidget()

    def given(self) -> dict[str, Any]:
        """Return what the domain's `grant` is asked for."""
        last: Any = self.cleaned_data["last_day"]
        expires_at = datetime.combine(last, time(), tzinfo=UTC) + timedelta(days=1) if last else None
        return {
            "kind": self.cleaned_data["kind"],
            "reason": self.cleaned_data["reason"],
            "expires_at": expires_at,
            "now": timezone.now(),
        }


class CustomerGrantForm(GrantForm):
    """Ask for the currency too: the customer's wallet in it is opened if there is none."""

    currency = forms.CharField(max_length=3, widget=UnfoldAdminTextInputWidget(), help_text="Three capitals: USD.")

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        customer = Customer.objects.filter(pk=object_id or 0).first()
        self.fields["currency"].initial = customer.billing_currency if customer else ""

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).upper()
        if not known_currency(currency):
            raise forms.ValidationError("Write a currency of today as its three ISO 4217 capitals.")
        return currency


class GrantChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: CreditGrant) -> str:
        left = format_amount(obj.remaining, obj.wallet.currency)
        until = f", until {local_day(obj.expires_at)}" if obj.expires_at else ""
        return f"{left} left of {obj}{until}: {obj.reason}"


class TakeBackForm(ReasonForm):
    """Ask which credit to take out of a wallet, how much of it, and why."""

    form_before_template = "admin/billing/wallet/take_back.html"
    of = GrantChoice(queryset=CreditGrant.objects.none(), label="Credit", widget=UnfoldAdminSelectWidget())
    amount = forms.DecimalField(
        max_digits=24, decimal_places=4, required=False, help_text="Empty: all that is left of it."
    )
    how = forms.ChoiceField(
        label="As",
        choices=[(EntryKind.TAKEN_BACK, "Taken back"), (EntryKind.EXPIRED, "Expired, ahead of its day")],
        widget=UnfoldAdminSelectWidget(),
    )
    field_order = ("of", "amount", "how", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        wallet_id = kwargs.get("object_id")
        super().__init__(*args, **kwargs)
        self.fields["amount"].widget = UnfoldAdminDecimalFieldWidget()
        choice: Any = self.fields["of"]
        choice.queryset = CreditGrant.objects.filter(remaining__gt=0).select_related("wallet").order_by("-pk")
        if wallet_id is not None:
            choice.queryset = choice.queryset.filter(wallet=wallet_id)

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"wallet": get_object_or_404(Wallet.objects.select_related("customer"), pk=object_id)}


class CloseForm(ReasonForm):
    """Show what closing a wallet takes from its customer, and ask why."""

    form_before_template = "admin/billing/wallet/close.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"wallet": get_object_or_404(Wallet.objects.select_related("customer"), pk=object_id)}
