"""Credit transactions in the admin: the list of all transactions, and their tab on a wallet's page."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from billing.admin.shared import OptionalTab, link, money_cell, rounded
from billing.models import EntryKind, WalletEntry
from config.office.base import OfficeAdmin
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import NeverChanged, ReadOnlyInline

COLORS = {
    EntryKind.GRANTED: "success",
    EntryKind.APPLIED: "info",
    EntryKind.RETURNED: "primary",
    EntryKind.EXPIRED: "warning",
    EntryKind.TAKEN_BACK: "danger",
}


class EntriesInline(ReadOnlyInline):
    """A wallet's transactions, newest first."""

    model = WalletEntry
    formset = OptionalTab
    fields = ("at", "kind", "show_amount", "show_after", "show_invoice", "reason", "by")
    readonly_fields = fields
    ordering = ("-pk",)
    tab = True
    per_page = 20
    verbose_name_plural = "transactions"

    def get_queryset(self, request: HttpRequest) -> QuerySet[WalletEntry]:
        entries: QuerySet[WalletEntry] = super().get_queryset(request).select_related("wallet", "invoice", "by")
        return entries

    @admin.display(description="Amount")
    def show_amount(self, entry: WalletEntry) -> SafeString:
        return money_cell(entry.amount, entry.wallet.currency)

    @admin.display(description="Balance after")
    def show_after(self, entry: WalletEntry) -> SafeString:
        return money_cell(entry.balance_after, entry.wallet.currency)

    @admin.display(description="Invoice")
    def show_invoice(self, entry: WalletEntry) -> SafeString | str:
        return link(entry.invoice)


@admin.register(WalletEntry)
class WalletEntryAdmin(NeverChanged, OfficeAdmin):
    """All transactions of prepaid credit. Created by the system and never changed."""

    list_display = ("show_at", "show_customer", "show_kind", "show_amount", "show_after", "show_invoice", "reason")
    list_select_related = ("wallet__customer", "invoice", "by")
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("wallet__customer", AutocompleteSelectFilter),
        ("at", RangeDateTimeFilter),
    )
    search_fields = ("wallet__customer__name", "wallet__customer__external_id", "invoice__number", "public_id")
    search_help_text = "Customer's name or external customer ID, invoice number or transaction ID"
    ordering = ("-pk",)
    fields = (
        *("at", "customer", "wallet", "kind", "show_amount", "show_after", "grant", "invoice", "reason", "by"),
        "public_id",
    )
    readonly_fields = fields
    export_columns = (
        ("ID", "public_id"),
        ("Time (UTC)", "at"),
        ("Customer", "wallet__customer__name"),
        ("External customer ID", "wallet__customer__external_id"),
        ("Type", lambda entry: entry.get_kind_display()),
        ("Amount", rounded("amount", "wallet__currency")),
        ("Balance after", rounded("balance_after", "wallet__currency")),
        ("Currency", "wallet__currency"),
        ("Invoice", lambda entry: str(entry.invoice) if entry.invoice else ""),
        ("Reason", "reason"),
        ("By", lambda entry: entry.by.username if entry.by else ""),
    )
    empty_icon = "receipt_long"
    empty_title = "No credit transactions yet"
    empty_text = "Granted credit, and credit applied to invoices, is listed here."

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow the links from invoices and wallets."""
        linked_lookups = ("invoice__id__exact", "wallet__id__exact")
        return lookup in linked_lookups or bool(super().lookup_allowed(lookup, value, request))

    @display(description="Customer")
    def customer(self, entry: WalletEntry) -> SafeString | str:
        return link(entry.wallet.customer)

    @display(description="Time (UTC)", ordering="pk")
    def show_at(self, entry: WalletEntry) -> str:
        return f"{entry.at:%Y-%m-%d %H:%M}"

    @display(description="Customer", header=True, ordering="wallet__customer__name")
    def show_customer(self, entry: WalletEntry) -> list[str]:
        return [entry.wallet.customer.name, str(entry.wallet)]

    @display(description="Type", ordering="kind", label=COLORS)
    def show_kind(self, entry: WalletEntry) -> tuple[str, str]:
        return entry.kind, entry.get_kind_display()

    @display(description="Amount", ordering="amount")
    def show_amount(self, entry: WalletEntry) -> SafeString:
        return money_cell(entry.amount, entry.wallet.currency)

    @display(description="Balance after")
    def show_after(self, entry: WalletEntry) -> SafeString:
        return money_cell(entry.balance_after, entry.wallet.currency)

    @display(description="Invoice", ordering="invoice__number")
    def show_invoice(self, entry: WalletEntry) -> SafeString | str:
        return link(entry.invoice)
