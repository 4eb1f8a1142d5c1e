"""What the self-test's usage is billed with, which each pass makes: a feature, a plan, a tax, a customer."""

from dataclasses import dataclass
from datetime import datetime

from billing.adjustments.tax_rates import assign, save_rate
from billing.models import TaxRate
from billing.self_test.expected import CURRENCY, FEE, FREE_UNITS, TAX_PERCENT, UNIT_PRICE
from catalog.features import save_feature
from catalog.models import Aggregation, Entitlement, Feature, Plan, Price
from catalog.models.prices import IntervalUnit, PriceKind, PriceModel
from catalog.publishing import get_or_create_draft, publish
from customers.accounts import save_customer
from customers.models import Customer, Subscription
from customers.subscriptions.start import subscribe


@dataclass(frozen=True, slots=True)
class SelfTestCompany:
    """The rows of one pass."""

    feature: Feature
    customer: Customer
    subscription: Subscription


def make_company(name: str, *, since: datetime) -> SelfTestCompany:
    """Make everything that bills the pass's usage. All names are the pass's, so nothing of the company's is touched."""
    feature = save_feature(
        Feature(key=name, name=name, event_name=name, aggregation=Aggregation.SUM, field="units"), by=None
    )
    plan = _make_plan(name, feature, now=since)
    customer = save_customer(Customer(external_id=name, name=name, currency=CURRENCY, timezone="UTC"), by=None)
    rate = save_rate(TaxRate(code=name, name="Tax", percentage=TAX_PERCENT), by=None)
    assign(rate, customer=customer, by=None)
    subscription = subscribe(
        customer,
        plan,
        currency=CURRENCY,
        interval=IntervalUnit.WEEK,
        starts_at=since,
        trial_days=0,
        now=since,
        by=None,
    )
    return SelfTestCompany(feature, customer, subscription)


def _make_plan(name: str, feature: Feature, *, now: datetime) -> Plan:
    plan = Plan.objects.create(key=name, name=name)
    version = get_or_create_draft(plan, by=None)
    terms = {"version": version, "currency": CURRENCY, "interval": IntervalUnit.WEEK}
    Price.objects.create(**terms, kind=PriceKind.FIXED, name="Fee", model=PriceModel.FLAT, unit_amount=FEE)
    Price.objects.create(**terms, feature=feature, unit_amount=UNIT_PRICE, position=1)
    Entitlement.objects.create(version=version, feature=feature, free_units=FREE_UNITS)
    publish(version, now=now, by=None)
    return plan
