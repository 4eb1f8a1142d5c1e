"""Prepaid credit on a customer's page: a tab with the wallets, and granting credit."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from billing.admin.forms.wallets import CustomerGrantForm
from billing.admin.shared import OptionalTab, link, money_cell
from billing.models import Wallet
from billing.money import format_amount
from billing.settlement.top_ups import grant_to_customer
from config.office.dialogs import action, open_page, staff
from config.office.links import page_of
from config.office.permissions import ReadOnlyInline
from customers.admin import add_customer_action, add_customer_tab
from customers.models import Customer


class WalletsInline(ReadOnlyInline):
    """A customer's wallets."""

    model = Wallet
    formset = OptionalTab
    fields = ("show_wallet", "show_balance", "priority", "state")
    readonly_fields = fields
    ordering = ("priority", "pk")
    tab = True
    per_page = 20
    verbose_name_plural = "prepaid credit"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wallet]:
        wallets: QuerySet[Wallet] = super().get_queryset(request).with_usable(timezone.now())
        return wallets

    @admin.display(description="Wallet")
    def show_wallet(self, wallet: Wallet) -> SafeString | str:
        return link(wallet)

    @admin.display(description="Balance")
    def show_balance(self, wallet: Any) -> SafeString:
        return money_cell(wallet.usable, wallet.currency)


add_customer_tab(WalletsInline)


@action(
    description="Grant credit",
    icon="add_card",
    permissions=["grant_credit"],
    dialog={
        "title": "Grant credit to this customer",
        "description": "The credit is added to the customer's wallet in this currency; if there is none, one is "
        "created. Credit is applied when invoices are finalized.",
        "form_class": CustomerGrantForm,
        "form_submit_text": "Grant",
    },
)
def grant_credit(customers: ModelAdmin, request: HttpRequest, form: CustomerGrantForm, object_id: str) -> HttpResponse:
    """Grant credit from a customer's page."""
    customer = get_object_or_404(Customer, pk=object_id)
    amount, currency = form.cleaned_data["amount"], form.cleaned_data["currency"]

    approval = grant_to_customer(customer, currency, amount, by=staff(request), **form.grant_arguments())
    if approval is not None:
        return open_page(request, page_of(customer), f"Waiting for approval: {approval}.", level=messages.WARNING)
    return open_page(request, page_of(customer), f"Granted {format_amount(amount, currency)} of credit to {customer}.")


def may_grant(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return request.user.has_perm("billing.add_creditgrant")


add_customer_action("grant_credit", grant_credit, allowed=may_grant)
