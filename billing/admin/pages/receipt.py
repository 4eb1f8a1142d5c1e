"""The page that records a payment of a customer and distributes it over unpaid invoices."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action

from billing.admin.forms.receipts import ApplicationForm, ReceiptForm, read_customer_receipt, sum_remaining
from billing.models import Invoice
from billing.money import format_amount
from billing.settlement.receipts import record_receipt
from config.office.dialogs import open_page, staff
from config.office.pages import AdminPage
from config.refusals import Refused
from customers.admin import add_customer_action
from customers.models import Customer

MOST_ROWS = 200  # further invoices are paid once these are


@action(description="Record payment", icon="payments", permissions=["record_receipt"])
def record_payment_of_customer(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Open the form for a payment of the customer."""
    return HttpResponseRedirect(reverse("admin:billing_receipt", args=[object_id]))


def may_record(customers: ModelAdmin, request: HttpRequest, object_id: str | None = None) -> bool:
    return request.user.has_perm("billing.add_payment")


add_customer_action("record_receipt", record_payment_of_customer, allowed=may_record)


class ReceiptPage(AdminPage):
    """Record a payment of a customer in the currency of the address. Submitting twice records one payment."""

    permission = "billing.add_payment"
    template_name = "admin/billing/receipt/write.html"
    customer: Customer
    currency: str
    currencies: list[str]

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.customer = get_object_or_404(Customer, pk=kwargs["customer_id"])
        unpaid = Invoice.objects.to_pay().filter(customer=self.customer)
        self.currencies = sorted(set(unpaid.values_list("currency", flat=True)) | {self.customer.billing_currency})
        asked = request.GET.get("currency", "")
        first = next(iter(unpaid.order_by("due_at", "pk")), None)
        default = first.currency if first is not None else self.customer.billing_currency
        self.currency = asked if asked in self.currencies else default

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.show_form(ReceiptForm(self.currency), self.build_rows(None))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form, rows = ReceiptForm(self.currency, request.POST), self.build_rows(request.POST)
        if not all([form.is_valid(), *(row.is_valid() for row in rows)]):
            return self.show_form(form, rows)
        received = read_customer_receipt(self.customer, self.currency, form, rows)
        try:
            payment = record_receipt(received, now=timezone.now(), by=staff(request))
        except Refused as refusal:
            return self.show_form(form, rows, str(refusal))
        amount = format_amount(payment.amount, payment.currency)
        return open_page(request, payment.get_absolute_url(), f"Payment of {amount} from {self.customer} recorded.")

    def build_rows(self, data: Any) -> list[ApplicationForm]:
        unpaid = Invoice.objects.to_pay().filter(customer=self.customer, currency=self.currency)
        return [ApplicationForm(invoice, data) for invoice in unpaid.order_by("due_at", "pk")[:MOST_ROWS]]

    def show_form(self, form: ReceiptForm, rows: list[ApplicationForm], problem: str = "") -> HttpResponse:
        return self.render(
            form=form,
            rows=rows,
            problem=problem,
            customer=self.customer,
            currency=self.currency,
            currencies=self.currencies,
            total=sum_remaining(rows),
        )

    def get_title(self) -> str:
        return f"Payment from {self.customer}"
