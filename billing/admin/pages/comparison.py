"""Why an invoice differs from the last one, as a fragment of its page; and two months of a customer, as a page."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action

from billing.admin.pages.invoice import format_period
from billing.explanation.comparison.chart import waterfall
from billing.explanation.comparison.invoices import compare_invoices, compare_months, previous_invoice
from billing.explanation.comparison.values import Comparison
from billing.models import Invoice, InvoiceState
from billing.money import format_amount
from billing.month_end.months import Month
from config.office.pages import AdminPage, AdminView
from customers.admin import add_customer_action
from customers.models import Customer
from customers.periods import local_date

TITLE = "Why this invoice differs from the last"
MOST_CHOICES = 12
RELATED = ("customer", "subscription")


class InvoiceComparison(AdminView):
    """Compare an invoice with the last one, or with the one that `with` names. Empty if there is none."""

    template_name = "admin/billing/comparison/invoice.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        invoice = get_object_or_404(Invoice.objects.select_related(*RELATED), pk=kwargs["invoice_id"])
        choices = list_choices(invoice)
        chosen = next((choice for choice in choices if choice.public_id == request.GET.get("with")), None)
        before = chosen or previous_invoice(invoice)
        if before is None:
            return self.render(comparison=None)
        comparison = compare_invoices(before, invoice)
        return self.render(
            invoice=invoice,
            before=before,
            choices=[(choice, format_period(choice)) for choice in choices],
            chart=waterfall(comparison, str(before), str(invoice), title=TITLE),
            **comparison_context(comparison),
        )


def list_choices(invoice: Invoice) -> list[Invoice]:
    """List the latest earlier invoices of the subscription in the same currency, without void ones."""
    if invoice.subscription_id is None or invoice.period_start is None:
        return []
    others = Invoice.objects.filter(subscription=invoice.subscription_id, currency=invoice.currency)
    earlier = others.filter(period_start__lte=invoice.period_start).exclude(pk=invoice.pk)
    rows = earlier.exclude(state=InvoiceState.VOID).select_related(*RELATED)
    return list(rows.order_by("-period_start", "-pk")[:MOST_CHOICES])


def comparison_context(comparison: Comparison) -> dict[str, Any]:
    """Format the parts of a comparison by cause."""
    currency = comparison.currency
    return {
        "comparison": comparison,
        "difference": _signed(comparison.difference, currency),
        "causes": [
            (
                cause.label,
                _signed(amount, currency),
                [(part, _signed(part.amount, currency)) for part in parts],
            )
            for cause, amount, parts in comparison.by_cause
        ],
    }


def _signed(amount: Any, currency: str) -> str:
    return f"{'+' if amount > 0 else ''}{format_amount(amount, currency)}"


@action(description="Compare months", icon="compare_arrows", permissions=["view"])
def open_months(customers: "ModelAdmin[Customer]", request: HttpRequest, object_id: str) -> HttpResponseBase:
    """Open the comparison of the customer's months."""
    return HttpResponseRedirect(reverse("admin:billing_customer_months", args=[object_id]))


add_customer_action("open_months", open_months)


class CustomerMonths(AdminPage):
    """Compare what was invoiced to a customer in two months, `month` and the earlier `with`."""

    title = "Compare months"
    permission = "billing.view_invoice"
    template_name = "admin/billing/comparison/months.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        customer = get_object_or_404(Customer, pk=kwargs["customer_id"])
        today = local_date(timezone.now(), customer.timezone)
        names = {"month": request.GET.get("month", ""), "with": request.GET.get("with", "")}
        try:
            after = Month.named(names["month"]) if names["month"] else Month(today.replace(day=1)).previous
            before = Month.named(names["with"]) if names["with"] else after.previous
        except ValueError:
            return self.render(customer=customer, names=names, problem="Enter months as 2026-09.")
        comparisons = compare_months(customer, before.days, after.days)
        return self.render(
            customer=customer,
            names={"month": str(after), "with": str(before)},
            comparisons=[
                {
                    "chart": waterfall(row, str(before), str(after), title=f"{before} and {after} in {row.currency}"),
                    **comparison_context(row),
                }
                for row in comparisons
            ],
        )
