"""The staircase of a tiered price, as a fragment of the pages of prices and events."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from billing.charges.next_invoice import NextInvoice
from billing.charges.subscription import period_in_force
from billing.charges.usage_charges import UsageCharge, list_usage_charges
from billing.explanation.staircase import staircase
from billing.invoicing.compute import EXPECTED_ERRORS
from billing.invoicing.plan_terms import terms_of
from billing.invoicing.subscriptions import load_subscriptions
from billing.kinds import InvoiceKind
from billing.money import ZERO, exact
from billing.overview.usage_by_day import usage_of_charge
from catalog.models import Entitlement, Price
from config.office.charts import Chart
from config.office.pages import AdminView
from customers.models import Customer


class PriceStaircase(AdminView):
    """Draw what one more unit costs at each usage, after the version's free units. Empty for other prices."""

    permission = "catalog.view_price"
    template_name = "admin/billing/staircase.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        price = get_object_or_404(Price.objects.prefetch_related("tiers"), pk=kwargs["price_id"])
        granted = Entitlement.objects.filter(
            version=price.version_id, feature=price.feature_id, is_enabled=True
        ).first()
        free_units = granted.free_units if granted else None
        return self.render(chart=staircase(terms_of(price, price.tiers.all()), price.currency, free_units=free_units))


class UsageStaircase(AdminView):
    """Draw the price of a subscription's feature at `?at=`, with the usage of that billing period as its place."""

    permission = "customers.view_subscription"
    template_name = "admin/billing/staircase.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        at = read_time(request.GET.get("at", ""))
        return self.render(chart=usage_staircase(kwargs["subscription_id"], kwargs["feature_id"], at))


def usage_staircase(subscription_id: int, feature_id: int, at: datetime) -> Chart | None:
    """Return the staircase of a subscription's feature with the usage of the billing period that includes a time.

    The place is the usage that the price rates: that of its own days, if the plan changed within the period. Where free
    units are granted more than once a period, and in a trial, the place is the usage beyond the free units.
    """
    subscription = load_subscriptions([subscription_id]).get(subscription_id)
    if subscription is None:
        return None
    period = period_in_force(subscription, at)
    try:
        charges = list_usage_charges(subscription, NextInvoice(InvoiceKind.CYCLE, period, period.end))
    except EXPECTED_ERRORS:
        return None
    charge = next((charge for charge in charges if _is_in_force(charge, feature_id, at)), None)
    if charge is None:
        return None
    usage = usage_of_charge(subscription, charge)
    with exact():
        used, free = sum((grant.quantity for grant in usage), ZERO), sum((grant.free for grant in usage), ZERO)
    is_single = len(usage) == 1 and not charge.is_trial
    return staircase(
        charge.price.terms,
        subscription.currency,
        free_units=usage[0].remaining_allowance if is_single else None,
        place=used if is_single else used - free,
        who=Customer.objects.values_list("name", flat=True).get(pk=subscription.customer_id),
    )


def _is_in_force(charge: UsageCharge, feature_id: int, at: datetime) -> bool:
    return charge.price.feature.id == feature_id and any(window.contains(at) for window in charge.windows)


def read_time(text: str) -> datetime:
    """Read an ISO 8601 time with its offset; now for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return timezone.now()
    return at if at.tzinfo else timezone.now()
