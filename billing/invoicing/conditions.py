"""Read customers' coupons, taxes and prepaid credit: a fixed number of queries, however many customers."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import F, Q, QuerySet

from billing.adjustments.conditions import AppliedCoupon, Conditions, CustomerTax, PastUse
from billing.adjustments.credit import AvailableCredit, credit_moment, reserve_credit
from billing.charges.subscription import BilledSubscription
from billing.kinds import CouponScope
from billing.models import (
    Coupon,
    CouponApplication,
    CouponUse,
    CreditGrant,
    Invoice,
    InvoiceState,
    TaxAssignment,
    TaxRate,
)
from catalog.models import PlanVersion
from customers.kinds import TaxTreatment
from customers.models import Customer


def attach_conditions(
    subscriptions: Iterable[BilledSubscription], *, leaving_out: Collection[int] = (), lock: bool = False
) -> None:
    """Set the subscriptions' conditions. The subscriptions that a customer pays for share one object."""
    subscriptions = list(subscriptions)
    conditions = load_conditions(
        {subscription.payer_id for subscription in subscriptions}, leaving_out=leaving_out, lock=lock
    )
    for subscription in subscriptions:
        subscription.conditions = conditions[subscription.payer_id]


def load_conditions(
    customer_ids: Collection[int], *, leaving_out: Collection[int] = (), lock: bool = False
) -> dict[int, Conditions]:
    """Read the coupons, taxes and prepaid credit of customers who pay, with those of subscriptions they pay for.

    `leaving_out` are invoices that are recalculated: the coupons and credit that they use are available. Credit that
    other drafts show is reserved for them. `lock` keeps other transactions from using the coupons until this one ends.
    """
    conditions: dict[int, Conditions] = {}
    countries: dict[int, str] = {}
    fields = ("pk", "tax_treatment", "tax_note", "address_country")
    for pk, treatment, note, country in Customer.objects.filter(pk__among=customer_ids).values_list(*fields):
        conditions[pk] = Conditions(treatment=TaxTreatment(treatment), note=note)
        countries[pk] = country.upper()
    payers = _payers(conditions)
    _add_taxes(conditions, countries, payers)
    _add_coupons(conditions, payers, leaving_out, lock)
    _add_credit(conditions, leaving_out)
    return conditions


def _payers(customer_ids: Collection[int]) -> dict[int, int]:
    """Return who pays for the subscriptions of these customers and of their children."""
    children = Customer.objects.filter(parent__among=customer_ids).values_list("pk", "parent_id")
    return {**{pk: pk for pk in customer_ids}, **{pk: parent for pk, parent in children if parent is not None}}


def _add_taxes(conditions: dict[int, Conditions], countries: dict[int, str], payers: dict[int, int]) -> None:
    of_customers = Q(customer__among=conditions) | Q(subscription__customer__among=payers)
    of_company = Q(customer=None, subscription=None)
    rows = TaxAssignment.objects.filter(of_customers | of_company, rate__archived_at=None).select_related("rate")
    defaults: list[tuple[CustomerTax, str]] = []
    customer_taxes: dict[int, list[CustomerTax]] = defaultdict(list)
    subscription_taxes: dict[int, list[CustomerTax]] = defaultdict(list)
    owners: dict[int, int] = {}
    for row in rows.annotate(owner=F("subscription__customer")).order_by("position", "pk"):
        tax = customer_tax(row.rate, row.currency)
        if row.subscription_id is not None:
            subscription_taxes[row.subscription_id].append(tax)
            owners[row.subscription_id] = payers[row.owner]
        elif row.customer_id is not None:
            customer_taxes[row.customer_id].append(tax)
        else:
            defaults.append((tax, row.rate.country))
    for customer_id, customer_conditions in conditions.items():
        company_taxes = [tax for tax, country in defaults if country in ("", countries[customer_id])]
        customer_conditions.taxes = tuple(customer_taxes.get(customer_id, company_taxes))
    for subscription_id, taxes in subscription_taxes.items():
        conditions[owners[subscription_id]].subscription_taxes[subscription_id] = tuple(taxes)


def customer_tax(rate: TaxRate, currency: str = "") -> CustomerTax:
    """Return a tax rate as a value. A currency limits it to invoices in that currency."""
    return CustomerTax(rate.code, rate.name, rate.percentage, rate.is_inclusive, currency, rate.public_id)


def lock_coupons(customer_ids: Collection[int]) -> None:
    """Lock customers' coupons in the order of `load_conditions`, until the transaction ends."""
    rows = CouponApplication.objects.filter(customer__among=_payers(customer_ids)).order_by("pk")
    list(rows.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))


def _add_coupons(
    conditions: dict[int, Conditions], payers: dict[int, int], leaving_out: Collection[int], lock: bool
) -> None:
    of_customers = CouponApplication.objects.filter(customer__among=payers, invoice=None)
    rows = of_customers.select_related("coupon").order_by("pk")
    applications = list(rows.select_for_update(no_key=True, of=("self",)) if lock else rows)
    if not applications:
        return
    uses = CouponUse.objects.filter(application__in=applications, returned_at=None).exclude(invoice__in=leaving_out)
    used: dict[int, dict[int, PastUse]] = defaultdict(dict)
    rows_of_uses = uses.values_list("application", "number", "amount", "invoice__subscription")
    for application_id, number, amount, subscription_id in rows_of_uses:
        used[application_id][number] = PastUse(amount, subscription_id)
    coupons = {row.coupon_id for row in applications}
    features = _group(Coupon.features.through.objects.filter(coupon__in=coupons), "coupon", "feature")
    versions = _group(PlanVersion.with_agreed.filter(plan__in=_plans(coupons)), "plan", "pk")
    plans = _group(Coupon.plans.through.objects.filter(coupon__in=coupons), "coupon", "plan")
    for row in applications:
        version_ids = {pk for plan in plans[row.coupon_id] for pk in versions[plan]}
        payer_id = row.customer_id if row.subscription_id is None else payers[row.customer_id]
        if payer_id not in conditions:
            continue  # of a child, whose own discounts don't apply while another customer pays
        conditions[payer_id].coupons.append(_applied_coupon(row, features[row.coupon_id], version_ids, used[row.pk]))


def _plans(coupons: Collection[int]) -> QuerySet[Any, Any]:
    return Coupon.plans.through.objects.filter(coupon__in=coupons).values("plan")


def _group(rows: QuerySet[Any], key: str, value: str) -> dict[int, set[int]]:
    groups: dict[int, set[int]] = defaultdict(set)
    for row_key, row_value in rows.values_list(key, value):
        groups[row_key].add(row_value)
    return groups


def _applied_coupon(
    row: CouponApplication, features: set[int], versions: set[int], used: dict[int, PastUse]
) -> AppliedCoupon:
    return applied_coupon(
        row.coupon,
        id=row.pk,
        feature_ids=frozenset(features),
        version_ids=frozenset(versions),
        subscription_id=row.subscription_id,
        starts_at=row.starts_at,
        ended_at=row.ended_at,
        used=dict(used),
    )


def applied_coupon(coupon: Coupon, **columns: Any) -> AppliedCoupon:
    """Return a coupon with its terms as a value. `columns` are those of its application."""
    return AppliedCoupon(
        code=coupon.code,
        name=coupon.name,
        percent_off=coupon.percent_off,
        amount_off=coupon.amount_off,
        currency=coupon.currency,
        scope=CouponScope(coupon.scope),
        limit=coupon.limit,
        coupon_id=coupon.public_id,
        keeps_rest=coupon.keeps_rest,
        **columns,
    )


def in_order_of_use(grants: QuerySet[CreditGrant]) -> QuerySet[CreditGrant]:
    """Order credit as it is used: first to expire first, then by priority of wallet and grant, then oldest first."""
    soonest = F("expires_at").asc(nulls_last=True)
    return grants.order_by(soonest, "wallet__priority", "priority", "pk")


def _add_credit(conditions: dict[int, Conditions], leaving_out: Collection[int]) -> None:
    grants = in_order_of_use(CreditGrant.objects.filter(wallet__customer__among=conditions, remaining__gt=0))
    fields = ("wallet__customer", "wallet__currency", "pk", "remaining", "expires_at")
    for customer_id, currency, pk, remaining, expires_at in grants.values_list(*fields):
        conditions[customer_id].credit.setdefault(currency, []).append(AvailableCredit(pk, remaining, expires_at))
    if not any(customer_conditions.credit for customer_conditions in conditions.values()):
        return
    drafts = Invoice.objects.filter(customer__among=conditions, state=InvoiceState.DRAFT, credits_applied__gt=0)
    shown = drafts.exclude(pk__in=leaving_out).order_by("pk")
    names = ("customer", "currency", "credits_applied", "period_end", "computed_at")
    for customer_id, currency, amount, period_end, computed_at in shown.values_list(*names):
        at = credit_moment(period_end, computed_at)
        reserve_credit(conditions[customer_id].credit.get(currency, []), amount, at)
