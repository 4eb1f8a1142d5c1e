"""Wallets in the admin: prepaid credit of customers, and granting, revoking and closing it."""

from typing import Any

from django.contrib import admin
from django.db.models import Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from billing.adjustments.credit import is_unexpired
from billing.admin.forms.wallets import CloseForm, GrantForm, RevokeForm
from billing.admin.shared import OptionalTab, money_cell, rounded
from billing.admin.wallet_transactions import EntriesInline
from billing.models import CreditGrant, EntryKind, Wallet, WalletState
from billing.money import ZERO, format_amount
from billing.settlement.wallets import change_wallet, close_wallet, grant_credit, revoke_credit, save_wallet
from config.office.base import OfficeAdmin
from config.office.dialogs import action, carry_out, staff
from config.office.links import page_of
from config.office.permissions import ReadOnlyInline
from config.office.wording import local_day

COLORS = {WalletState.ACTIVE: "success", WalletState.CLOSED: "warning"}


class GrantsInline(ReadOnlyInline):
    """Credit granted to the wallet, with the remaining amounts."""

    model = CreditGrant
    formset = OptionalTab
    fields = ("granted_at", "kind", "reason", "show_amount", "show_remaining", "show_expiry", "priority", "granted_by")
    readonly_fields = fields
    ordering = ("-pk",)
    tab = True
    per_page = 20
    verbose_name_plural = "grants"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditGrant]:
        grants: QuerySet[CreditGrant] = super().get_queryset(request).select_related("wallet", "granted_by")
        return grants

    @admin.display(description="Granted")
    def show_amount(self, credit: CreditGrant) -> SafeString:
        return money_cell(credit.amount, credit.wallet.currency)

    @admin.display(description="Remaining")
    def show_remaining(self, credit: CreditGrant) -> SafeString:
        is_usable = is_unexpired(credit.expires_at, timezone.now())
        return money_cell(credit.remaining if is_usable else ZERO, credit.wallet.currency)

    @admin.display(description="Expires")
    def show_expiry(self, credit: CreditGrant) -> str:
        if credit.expires_at is None:
            return "never"
        is_expired = not is_unexpired(credit.expires_at, timezone.now())
        return f"expired {local_day(credit.expires_at)}" if is_expired else local_day(credit.expires_at)


@admin.register(Wallet)
class WalletAdmin(OfficeAdmin):
    """A customer's prepaid credit in one currency. Only transactions change its balance."""

    list_display = ("show_customer", "name", "show_balance", "show_expiry", "priority", "show_state")
    list_select_related = ("customer",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("currency", FieldTextFilter),
        ("customer", AutocompleteSelectFilter),
    )
    search_fields = ("customer__name", "customer__external_id", "name", "public_id")
    search_help_text = "Customer's name or external customer ID, or the wallet's name or ID"
    ordering = ("customer__name", "priority", "pk")
    autocomplete_fields = ("customer",)
    inlines = (EntriesInline, GrantsInline)
    fieldsets = (
        (None, {"fields": (("customer", "currency"), ("name", "priority"), "description")}),
        ("Status", {"fields": (("show_balance", "state"), ("public_id", "closed_at"))}),
    )
    add_fieldsets = fieldsets[:1]
    readonly_fields = ("show_balance", "state", "public_id", "closed_at")
    export_columns = (
        ("ID", "public_id"),
        ("Customer", "customer__name"),
        ("External customer ID", "customer__external_id"),
        ("Name", "name"),
        ("Currency", "currency"),
        ("Balance", rounded("usable")),
        ("Next expiry (UTC)", "expiring_at"),
        ("Status", lambda wallet: wallet.get_state_display()),
    )
    empty_icon = "account_balance_wallet"
    empty_title = "No prepaid credit yet"
    empty_text = "Grant credit on a customer's page, or add a wallet here. Invoices use it when finalized."
    actions_detail = ("grant_into", "take_out", "close")

    def get_fieldsets(self, request: HttpRequest, obj: Wallet | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Wallet | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "customer", "currency") if obj else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wallet]:
        now = timezone.now()
        next_expiry = Min("grants__expires_at", filter=Q(grants__remaining__gt=0, grants__expires_at__gt=now))
        wallets: QuerySet[Wallet] = super().get_queryset(request).with_usable(now).annotate(expiring_at=next_expiry)
        return wallets

    def parts_of(self, obj: Wallet) -> list[CreditGrant]:
        return list(obj.grants.order_by("-pk")[:200])

    def save_model(self, request: HttpRequest, obj: Wallet, form: Any, change: bool) -> None:
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            change_wallet(obj, now=timezone.now(), by=staff(request), **changes)
        else:
            save_wallet(obj, by=staff(request))

    def has_delete_permission(self, request: HttpRequest, obj: Wallet | None = None) -> bool:
        """Wallets can't be deleted, because their transactions are kept. They can be closed."""
        return False

    @display(description="Customer", header=True, ordering="customer__name")
    def show_customer(self, wallet: Wallet) -> list[str]:
        return [wallet.customer.name, wallet.customer.external_id]

    @display(description="Balance", ordering="usable")
    def show_balance(self, wallet: Any) -> SafeString:
        return money_cell(wallet.usable, wallet.currency)

    @display(description="Next expiry", ordering="expiring_at")
    def show_expiry(self, wallet: Wallet) -> str:
        return local_day(getattr(wallet, "expiring_at", None))

    @display(description="Status", ordering="state", label=COLORS)
    def show_state(self, wallet: Wallet) -> tuple[str, str]:
        return wallet.state, wallet.get_state_display()

    def has_grant_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.add_creditgrant") and self._is_open(object_id)

    def has_take_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        has_credit = CreditGrant.objects.usable(timezone.now()).filter(wallet=object_id).exists()
        return request.user.has_perm("billing.change_creditgrant") and has_credit

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_change_permission(request)) and self._is_open(object_id)

    def _is_open(self, object_id: Any) -> bool:
        return Wallet.objects.filter(pk=object_id, state=WalletState.ACTIVE).exists()

    @action(
        description="Grant credit",
        icon="add_card",
        variant=ActionVariant.PRIMARY,
        permissions=["grant"],
        dialog={
            "title": "Grant credit",
            "description": "Credit is applied when invoices are finalized. Credit that expires first is used first.",
            "form_class": GrantForm,
            "form_submit_text": "Grant",
        },
    )
    def grant_into(self, request: HttpRequest, form: GrantForm, object_id: str) -> HttpResponse:
        wallet, amount = get_object_or_404(Wallet, pk=object_id), form.cleaned_data["amount"]
        return carry_out(
            request,
            lambda: grant_credit(wallet, amount, by=staff(request), **form.grant_arguments()),
            done=f"Granted {format_amount(amount, wallet.currency)} of credit.",
            then=page_of(wallet),
        )

    @action(
        description="Revoke credit",
        icon="money_off",
        permissions=["take"],
        dialog={"title": "Revoke credit", "form_class": RevokeForm, "form_submit_text": "Revoke"},
    )
    def take_out(self, request: HttpRequest, form: RevokeForm, object_id: str) -> HttpResponse:
        wallet, data = get_object_or_404(Wallet, pk=object_id), form.cleaned_data
        credit = get_object_or_404(CreditGrant, pk=data["of"].pk, wallet=wallet)
        return carry_out(
            request,
            lambda: revoke_credit(
                credit,
                reason=data["reason"],
                now=timezone.now(),
                by=staff(request),
                amount=data["amount"],
                kind=EntryKind(data["how"]),
            ),
            done="The credit is revoked.",
            then=page_of(wallet),
        )

    @action(
        description="Close",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["close"],
        dialog={"title": "Close this wallet permanently?", "form_class": CloseForm, "form_submit_text": "Close"},
    )
    def close(self, request: HttpRequest, form: CloseForm, object_id: str) -> HttpResponse:
        wallet, reason = get_object_or_404(Wallet, pk=object_id), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: close_wallet(wallet, reason=reason, now=timezone.now(), by=staff(request)),
            done=f"{wallet} is closed.",
            then=page_of(wallet),
        )
