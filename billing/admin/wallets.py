"""Prepaid credit in the admin: wallets, what was granted into them, every movement."""

from typing import Any

from django.contrib import admin
from django.db.models import Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    FieldTextFilter,
)
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from billing.admin.forms.wallets import CloseForm, CustomerGrantForm, GrantForm, TakeBackForm
from billing.admin.shared import OptionalTab, money
from billing.models import CreditGrant, EntryKind, Invoice, Wallet, WalletEntry, WalletState
from billing.money import format_amount
from billing.settlement import wallets
from billing.settlement.wallets import (
    change_wallet,
    close_wallet,
    get_or_open_wallet,
    revoke_credit,
    save_wallet,
)
from config.office.base import OfficeAdmin, carry_out, moment, page_of, staff
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import NeverChanged, ReadOnlyInline
from customers.admin import add_customer_action, add_customer_tab
from customers.models import Customer

STATE_COLOURS = {WalletState.ACTIVE: "success", WalletState.CLOSED: "warning"}
ENTRY_COLOURS = {
    EntryKind.GRANTED: "success",
    EntryKind.APPLIED: "info",
    EntryKind.RETURNED: "primary",
    EntryKind.EXPIRED: "warning",
    EntryKind.TAKEN_BACK: "danger",
}


class WalletInline(ReadOnlyInline):
    """A tab of a customer's or a wallet's page, a page at a time."""

    formset = OptionalTab
    tab = True
    per_page = 20


class GrantsInline(WalletInline):
    """What was put into the wallet, and what is left of it."""

    model = CreditGrant
    fields = ("granted_at", "kind", "reason", "show_amount", "show_remaining", "show_expiry", "priority", "granted_by")
    readonly_fields = fields
    ordering = ("-pk",)
    verbose_name_plural = "grants"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CreditGrant]:
        rows: QuerySet[CreditGrant] = super().get_queryset(request).select_related("wallet", "granted_by")
        return rows

    @admin.display(description="Granted")
    def show_amount(self, row: CreditGrant) -> SafeString:
        return money(row.amount, row.wallet.currency)

    @admin.display(description="Left")
    def show_remaining(self, row: CreditGrant) -> SafeString:
        return money(row.remaining, row.wallet.currency)

    @admin.display(description="Expires")
    def show_expiry(self, row: CreditGrant) -> str:
        return moment(row.expires_at) if row.expires_at else "never"


class EntriesInline(WalletInline):
    """Every movement, the newest first."""

    model = WalletEntry
    fields = ("at", "kind", "show_amount", "show_after", "show_invoice", "reason", "by")
    readonly_fields = fields
    ordering = ("-pk",)
    verbose_name_plural = "movements"

    def get_queryset(self, request: HttpRequest) -> QuerySet[WalletEntry]:
        rows: QuerySet[WalletEntry] = super().get_queryset(request).select_related("wallet", "invoice", "by")
        return rows

    @admin.display(description="Amount")
    def show_amount(self, entry: WalletEntry) -> SafeString:
        return money(entry.amount, entry.wallet.currency)

    @admin.display(description="Balance after")
    def show_after(self, entry: WalletEntry) -> SafeString:
        return money(entry.balance_after, entry.wallet.currency)

    @admin.display(description="Invoice")
    def show_invoice(self, entry: WalletEntry) -> str:
        return invoice_link(entry.invoice)


class WalletsInline(WalletInline):
    """A customer's prepaid credit."""

    model = Wallet
    fields = ("show_wallet", "show_balance", "priority", "state")
    readonly_fields = fields
    ordering = ("priority", "pk")
    verbose_name_plural = "prepaid credit"

    @admin.display(description="Wallet")
    def show_wallet(self, wallet: Wallet) -> str:
        return format_html('<a class="text-link" href="{}">{}</a>', page_of(wallet), wallet)

    @admin.display(description="Balance")
    def show_balance(self, wallet: Wallet) -> SafeString:
        return money(wallet.balance, wallet.currency)


add_customer_tab(WalletsInline)


@action(
    description="Grant credit",
    icon="add_card",
    permissions=["grant_credit"],
    dialog={
        "title": "Grant credit to this customer",
        "description": "It goes into the customer's wallet in the currency, which is opened if there is none. Invoices "
        "use it when they are finalized.",
        "form_class": CustomerGrantForm,
        "form_submit_text": "Grant",
    },
)
def grant_credit(customers: ModelAdmin, request: HttpRequest, form: CustomerGrantForm, object_id: str) -> HttpResponse:
    """Grant credit from a customer's page."""
    customer = get_object_or_404(Customer, pk=object_id)
    amount, currency = form.cleaned_data["amount"], form.cleaned_data["currency"]

    def work() -> None:
        wallet = get_or_open_wallet(customer, currency, by=staff(request))
        wallets.grant_credit(wallet, amount, by=staff(request), **form.given())

    done = f"{format_amount(amount, currency)} of credit granted to {customer}."
    return carry_out(request, work, done=done, then=page_of(customer))


def _may_grant(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return request.user.has_perm("billing.add_creditgrant")


add_customer_action("grant_credit", grant_credit, allowed=_may_grant)


def invoice_link(invoice: Invoice | None) -> str:
    if invoice is None:
        return "–"
    return format_html('<a class="text-link" href="{}">{}</a>', page_of(invoice), invoice)


@admin.register(Wallet)
class WalletAdmin(OfficeAdmin):
    """A customer's prepaid credit in one currency. Its balance moves by its ledger alone."""

    list_display = ("show_customer", "name", "show_balance", "show_expiry", "priority", "show_state")
    list_select_related = ("customer",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("currency", FieldTextFilter),
        ("customer", AutocompleteSelectFilter),
    )
    search_fields = ("customer__name", "customer__external_id", "name", "public_id")
    search_help_text = "Customer's name or external id, wallet's name or id"
    ordering = ("customer__name", "priority", "pk")
    autocomplete_fields = ("customer",)
    inlines = (EntriesInline, GrantsInline)
    fieldsets = (
        (None, {"fields": (("customer", "currency"), ("name", "priority"), "description")}),
        ("Where it stands", {"fields": (("show_balance", "state"), ("public_id", "closed_at"))}),
    )
    add_fieldsets = fieldsets[:1]
    readonly_fields = ("show_balance", "state", "public_id", "closed_at")
    export_columns = (
        ("Id", "public_id"),
        ("Customer", "customer__name"),
        ("External id", "customer__external_id"),
        ("Name", "name"),
        ("Currency", "currency"),
        ("Balance", "balance"),
        ("Next to expire (UTC)", "expiring_at"),
        ("State", lambda wallet: wallet.get_state_display()),
    )
    empty_icon = "account_balance_wallet"
    empty_title = "Nobody has prepaid credit"
    empty_text = "Grant some from a customer's page, or open a wallet here. Invoices use it when they are finalized."
    actions_detail = ("grant_into", "take_out", "close")

    def get_fieldsets(self, request: HttpRequest, obj: Wallet | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Wallet | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "customer", "currency") if obj else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wallet]:
        ends = Min("grants__expires_at", filter=Q(grants__remaining__gt=0))
        rows: QuerySet[Wallet] = super().get_queryset(request).annotate(expiring_at=ends)
        return rows

    def parts_of(self, obj: Wallet) -> list[CreditGrant]:
        return list(obj.grants.order_by("-pk")[:200])

    def save_model(self, request: HttpRequest, obj: Wallet, form: Any, change: bool) -> None:
        if change:
            given = {name: form.cleaned_data[name] for name in form.changed_data}
            change_wallet(obj, now=timezone.now(), by=staff(request), **given)
        else:
            save_wallet(obj, by=staff(request))

    def has_delete_permission(self, request: HttpRequest, obj: Wallet | None = None) -> bool:
        """Never: its ledger is kept. One that isn't wanted any more is closed."""
        return False

    @display(description="Customer", header=True, ordering="customer__name")
    def show_customer(self, wallet: Wallet) -> list[str]:
        return [wallet.customer.name, wallet.customer.external_id]

    @display(description="Balance", ordering="balance")
    def show_balance(self, wallet: Wallet) -> SafeString:
        return money(wallet.balance, wallet.currency)

    @display(description="Next to expire", ordering="expiring_at")
    def show_expiry(self, wallet: Wallet) -> str:
        at = getattr(wallet, "expiring_at", None)
        return moment(at) if at else "–"

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def show_state(self, wallet: Wallet) -> tuple[str, str]:
        return wallet.state, wallet.get_state_display()

    def has_grant_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.add_creditgrant") and self._is_open(object_id)

    def has_take_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        has_credit = Wallet.objects.filter(pk=object_id, balance__gt=0).exists()
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
            "description": "Invoices use it when they are finalized: what expires first is used first.",
            "form_class": GrantForm,
            "form_submit_text": "Grant",
        },
    )
    def grant_into(self, request: HttpRequest, form: GrantForm, object_id: str) -> HttpResponse:
        wallet, amount = get_object_or_404(Wallet, pk=object_id), form.cleaned_data["amount"]
        return carry_out(
            request,
            lambda: wallets.grant_credit(wallet, amount, by=staff(request), **form.given()),
            done=f"{format_amount(amount, wallet.currency)} of credit granted.",
            then=page_of(wallet),
        )

    @action(
        description="Take back",
        icon="money_off",
        permissions=["take"],
        dialog={"title": "Take credit back", "form_class": TakeBackForm, "form_submit_text": "Take back"},
    )
    def take_out(self, request: HttpRequest, form: TakeBackForm, object_id: str) -> HttpResponse:
        wallet, answers = get_object_or_404(Wallet, pk=object_id), form.cleaned_data
        of = get_object_or_404(CreditGrant, pk=answers["of"].pk, wallet=wallet)
        return carry_out(
            request,
            lambda: revoke_credit(
                of, reason=answers["reason"], now=timezone.now(), by=staff(request), amount=answers["amount"],
                kind=EntryKind(answers["how"]),
            ),
            done="The credit is taken out of the wallet.",
            then=page_of(wallet),
        )  # fmt: skip

    @action(
        description="Close",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["close"],
        dialog={"title": "Close this wallet for good?", "form_class": CloseForm, "form_submit_text": "Close"},
    )
    def close(self, request: HttpRequest, form: CloseForm, object_id: str) -> HttpResponse:
        wallet, reason = get_object_or_404(Wallet, pk=object_id), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: close_wallet(wallet, reason=reason, now=timezone.now(), by=staff(request)),
            done=f"{wallet} is closed.",
            then=page_of(wallet),
        )


@admin.register(WalletEntry)
class WalletEntryAdmin(NeverChanged, OfficeAdmin):
    """Every movement of prepaid credit, of all customers. Written by the system, never changed."""

    list_display = ("show_at", "show_customer", "show_kind", "show_amount", "show_after", "show_invoice", "reason")
    list_select_related = ("wallet__customer", "invoice", "by")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("wallet__customer", AutocompleteSelectFilter),
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("wallet__customer__name", "wallet__customer__external_id", "invoice__number", "public_id")
    search_help_text = "Customer, external id, invoice number or id"
    ordering = ("-pk",)
    fields = (
        *("at", "customer", "wallet", "kind", "show_amount", "show_after", "grant", "invoice", "reason", "by"),
        "public_id",
    )
    readonly_fields = fields
    export_columns = (
        ("Id", "public_id"),
        ("At (UTC)", "at"),
        ("Customer", "wallet__customer__name"),
        ("External id", "wallet__customer__external_id"),
        ("Kind", lambda entry: entry.get_kind_display()),
        ("Amount", "amount"),
        ("Balance after", "balance_after"),
        ("Currency", "wallet__currency"),
        ("Invoice", lambda entry: str(entry.invoice) if entry.invoice else ""),
        ("Reason", "reason"),
        ("By", lambda entry: entry.by.username if entry.by else ""),
    )
    empty_icon = "receipt_long"
    empty_title = "No credit has moved"
    empty_text = "Grants, and what invoices use of them, are listed here."

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Let an invoice's page and a wallet's lead here."""
        mine = ("invoice__id__exact", "wallet__id__exact")
        return lookup in mine or bool(super().lookup_allowed(lookup, value, request))

    @display(description="Customer")
    def customer(self, entry: WalletEntry) -> str:
        return format_html(
            '<a class="text-link" href="{}">{}</a>', page_of(entry.wallet.customer), entry.wallet.customer
        )

    @display(description="At (UTC)", ordering="pk")
    def show_at(self, entry: WalletEntry) -> str:
        return f"{entry.at:%Y-%m-%d %H:%M}"

    @display(description="Customer", header=True, ordering="wallet__customer__name")
    def show_customer(self, entry: WalletEntry) -> list[str]:
        return [entry.wallet.customer.name, str(entry.wallet)]

    @display(description="What", ordering="kind", label=ENTRY_COLOURS)
    def show_kind(self, entry: WalletEntry) -> tuple[str, str]:
        return entry.kind, entry.get_kind_display()

    @display(description="Amount", ordering="amount")
    def show_amount(self, entry: WalletEntry) -> SafeString:
        return money(entry.amount, entry.wallet.currency)

    @display(description="Balance after")
    def show_after(self, entry: WalletEntry) -> SafeString:
        return money(entry.balance_after, entry.wallet.currency)

    @display(description="Invoice", ordering="invoice__number")
    def show_invoice(self, entry: WalletEntry) -> str:
        return invoice_link(entry.invoice)
