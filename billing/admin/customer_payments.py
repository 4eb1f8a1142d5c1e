"""Unapplied money on a customer's page."""

from django.http import HttpRequest

from billing.admin.shared import format_totals, unapplied_url
from billing.settlement.surplus import sum_unapplied
from customers.admin import add_customer_notice
from customers.models import Customer


def report_unapplied(request: HttpRequest, customer: Customer) -> tuple[str, str] | None:
    """Report the customer's payments that were more than the amount due, with a link to them."""
    unapplied = sum_unapplied(customer.pk).get(customer.pk)
    if not unapplied or not request.user.has_perm("billing.view_payment"):
        return None
    text = f"{format_totals(unapplied.items())} of payments is unapplied. Apply it to an invoice, or refund it."
    return text, unapplied_url(customer=customer.pk)


add_customer_notice(report_unapplied)
