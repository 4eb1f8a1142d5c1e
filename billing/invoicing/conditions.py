"""Reads customers' discounts, taxes and prepaid credit: a fixed number of queries, however many customers."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import F, Q, QuerySet, Sum

from billing.adjustments.conditions import AppliedCoupon, AvailableCredit, Conditions, CustomerTax
from billing.charges.subscription import BilledSubscription
from billing.kinds import CouponScope
from billing.models import Coupon, CouponApplication, CouponUse, CreditGrant, Invoice, InvoiceState, TaxAssignment
from catalog.models import PlanVersion
from customers.kinds import TaxTreatment
from customers.models import Customer


def attach_conditions(
    subscriptions: Iterable[BilledSubscription], *, leaving_out: Collection[int] = (), lock: bool = False
) -> None:
    """Give subscriptions their customers' conditions, those of one customer the same. See `load_conditions`."""
    subscriptions = list(subscriptions)
    known = load_conditions(
        {subscription.customer_id for subscription in subscriptions}, leaving_out=leaving_out, lock=lock
    )
    for subscription in subscriptions:
        subscription.conditions = known[subscription.customer_id]


def load_conditions(
    customer_ids: Collection[int], *, leaving_out: Collection[int] = (), lock: bool = False
) -> dict[int, Conditions]:
    """Read what customers' invoices are reduced by, taxed by, and paid from.

    `leaving_out` are invoices whose uses of coupons and credit aren't reckoned with: they are worked out anew. Other
    drafts keep what they show of the credit. With `lock`, in a transaction, nobody else uses these coupons meanwhile.
    """
    found: dict[int, Conditions] = {}
    countries: dict[int, str] = {}
    fields = ("pk", "tax_treatment", "tax_note", "address_country")
    for pk, treatment, note, country in Customer.objects.filter(pk__among=customer_ids).values_list(*fields):
        found[pk] = Conditions(treatment=TaxTreatment(treatment), note=note)
        countries[pk] = country.upper()
    _add_taxes(found, countries)
    _add_coupons(found, leaving_out, lock)
    _add_credit(found, leaving_out)
    return found


def _add_taxes(found: dict[int, Conditions], countries: dict[int, str]) -> None:
    mine = Q(customer__among=found) | Q(subscription__customer__among=found) | Q(customer=None, subscription=None)
    rows = TaxAssignment.objects.filter(mine, rate__archived_at=None).select_related("rate")
    defaults: list[tuple[CustomerTax, str]] = []
    own: dict[int, list[CustomerTax]] = defaultdict(list)
    of_subscription: dict[int, list[CustomerTax]] = defaultdict(list)
    owners: dict[int, int] = {}
    for row in rows.annotate(owner=F("subscription__customer")).order_by("position", "pk"):
        rate = row.rate
        levy = CustomerTax(rate.code, rate.name, rate.percentage, rate.is_inclusive, row.currency, rate.public_id)
        if row.subscription_id is not None:
            of_subscription[row.subscription_id].append(levy)
            owners[row.subscription_id] = row.owner
        elif row.customer_id is not None:
            own[row.customer_id].append(levy)
        else:
            defaults.append((levy, rate.country))
    for pk, conditions in found.items():
        company = [levy for levy, country in defaults if country in ("", countries[pk])]
        conditions.taxes = tuple(own.get(pk, company))
    for subscription_id, levies in of_subscription.items():
        found[owners[subscription_id]].subscription_taxes[subscription_id] = tuple(levies)


def lock_coupons(customer_ids: Collection[int]) -> None:
    """Keep others from using customers' coupons, in the order of `load_conditions`. In a transaction."""
    rows = CouponApplication.objects.filter(customer__among=customer_ids).order_by("pk")
    list(rows.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))


def _add_coupons(found: dict[int, Conditions], leaving_out: Collection[int], lock: bool) -> None:
    rows = CouponApplication.objects.filter(customer__among=found).select_related("coupon").order_by("pk")
    applications = list(rows.select_for_update(no_key=True, of=("self",)) if lock else rows)
    if not applications:
        return
    uses = CouponUse.objects.filter(application__in=applications, returned_at=None).exclude(invoice__in=leaving_out)
    used: dict[int, set[int]] = defaultdict(set)
    for application_id, number in uses.values_list("application", "number"):
        used[application_id].add(number)
    coupons = {row.coupon_id for row in applications}
    features = _many(Coupon.features.through.objects.filter(coupon__in=coupons), "coupon", "feature")
    versions = _many(PlanVersion.objects.filter(plan__in=_plans(coupons)), "plan", "pk")
    plans = _many(Coupon.plans.through.objects.filter(coupon__in=coupons), "coupon", "plan")
    for row in applications:
        chosen = [versions[plan] for plan in plans[row.coupon_id]]
        found[row.customer_id].coupons.append(
            _applied(row, features[row.coupon_id], {pk for own in chosen for pk in own}, used[row.pk])
        )


def _plans(coupons: Collection[int]) -> QuerySet[Any, Any]:
    return Coupon.plans.through.objects.filter(coupon__in=coupons).values("plan")


def _many(rows: QuerySet[Any], key: str, value: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for owner, owned in rows.values_list(key, value):
        found[owner].add(owned)
    return found


def _applied(row: CouponApplication, features: set[int], versions: set[int], used: set[int]) -> AppliedCoupon:
    coupon = row.coupon
    return AppliedCoupon(
        id=row.pk,
        code=coupon.code,
        name=coupon.name,
        percent_off=coupon.percent_off,
        amount_off=coupon.amount_off,
        currency=coupon.currency,
        scope=CouponScope(coupon.scope),
        feature_ids=frozenset(features),
        version_ids=frozenset(versions),
        subscription_id=row.subscription_id,
        starts_at=row.starts_at,
        ended_at=row.ended_at,
        limit=coupon.limit,
        coupon_id=coupon.public_id,
        used=set(used),
    )


def in_order_of_use(grants: QuerySet[CreditGrant]) -> QuerySet[CreditGrant]:
    """Order credit as it is used: what expires first, then by the wallet's and the grant's priority, then by age."""
    soonest = F("expires_at").asc(nulls_last=True)
    return grants.order_by(soonest, "wallet__priority", "priority", "pk")


def _add_credit(found: dict[int, Conditions], leaving_out: Collection[int]) -> None:
    grants = in_order_of_use(CreditGrant.objects.filter(wallet__customer__among=found, remaining__gt=0))
    fields = ("wallet__customer", "wallet__currency", "pk", "remaining", "expires_at")
    for customer_id, currency, pk, remaining, expires_at in grants.values_list(*fields):
        found[customer_id].credit.setdefault(currency, []).append(AvailableCredit(pk, remaining, expires_at))
    if not any(conditions.credit for conditions in found.values()):
        return
    drafts = Invoice.objects.filter(customer__among=found, state=InvoiceState.DRAFT, credits_applied__gt=0)
    shown = drafts.exclude(pk__in=leaving_out).order_by().values_list("customer", "currency")
    for customer_id, currency, amount in shown.annotate(amount=Sum("credits_applied")):
        left = amount
        for lot in found[customer_id].credit.get(currency, []):
            part = min(lot.available, left)
            lot.available -= part
            left -= part
