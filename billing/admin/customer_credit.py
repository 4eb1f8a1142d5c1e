"""Prepaid credit on a customer's page: a tab with the wallets, and granting credit."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action

from billing.admin.forms.wallets import CustomerGrantForm
from billing.admin.shared import OptionalTab, link, money_cell
from billing.models import Wallet
from billing.money import format_amount
from billing.settlement import wallets
from billing.settlement.wallets import get_or_open_wallet
from config.office.dialogs import carry_out, staff
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

    @admin.display(description="Wallet")
    def show_wallet(self, wallet: Wallet) -> SafeString | str:
        return link(wallet)

    @admin.display(description="Balance")
    def show_balance(self, wallet: Wallet) -> SafeString:
        return money_cell(wallet.balance, wallet.currency)


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

    def grant_to_wallet() -> None:
        wallet = get_or_open_wallet(customer, currency, by=staff(request))
        wallets.grant_credit(wallet, amount, by=staff(request), **form.grant_arguments())

    done = f"Granted {format_amount(amount, currency)} of credit to {customer}."
    return carry_out(request, grant_to_wallet, done=done, then=page_of(customer))


def may_grant(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return request.user.has_perm("billing.add_creditgrant")


add_customer_action("grant_credit", grant_credit, allowed=may_grant)
