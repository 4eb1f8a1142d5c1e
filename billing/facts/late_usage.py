"""Facts about a period's late usage for the Event Debugger."""

from collections import defaultdict
from dataclasses import dataclass, replace

from billing.charges.subscription import BilledSubscription
from billing.models import Invoice, LateAdjustment, LateCheck, LateState
from billing.money import format_amount
from config.numbers import number
from config.office.links import admin_url
from customers.periods import Period
from events.diagnosis.billing_facts import Facts, LateFact, LateUsageStatus
from events.ledger.closing import has_touched


@dataclass(frozen=True, slots=True)
class LateUsage:
    """A period's adjustments by feature, and whether changes are waiting to be calculated."""

    by_feature: dict[int, list[LateFact]]
    pending: frozenset[int]
    is_check_waiting: bool

    def added_to(self, facts: Facts, feature_id: int) -> Facts:
        is_pending = self.is_check_waiting or feature_id in self.pending
        return replace(facts, late=tuple(self.by_feature.get(feature_id, ())), is_late_pending=is_pending)


def late_facts(subscription: BilledSubscription, invoice: Invoice | None, period: Period) -> LateUsage:
    """Load the late usage of a billed period, by feature."""
    start = invoice.period_start if invoice is not None and invoice.period_start is not None else period.start
    rows = LateAdjustment.objects.filter(subscription_id=subscription.subscription_id, period_start=start)
    by_feature: dict[int, list[LateFact]] = defaultdict(list)
    for row in rows.exclude(state=LateState.CANCELLED).select_related("line__invoice", "credit_note").order_by("pk"):
        by_feature[row.feature_id].append(fact_of(row))
    is_check_waiting = LateCheck.objects.filter(
        subscription_id=subscription.subscription_id, period_start=start
    ).exists()
    pending = frozenset(has_touched(subscription.customer_id, period.start, period.end))
    return LateUsage(by_feature, pending, is_check_waiting)


def fact_of(row: LateAdjustment) -> LateFact:
    """Describe an adjustment, loaded with its line's invoice and its credit note, as a fact."""
    where, url = "", admin_url("billing_lateadjustment_change", row.pk)
    if row.line is not None:
        where, url = str(row.line.invoice), admin_url("billing_invoice_change", row.line.invoice_id)
    elif row.credit_note is not None:
        where = str(row.credit_note)
    sign = "+" if row.amount_after > row.amount_before else ""
    return LateFact(
        status=LateUsageStatus(row.state),
        amount=sign + format_amount(row.amount_after - row.amount_before, row.currency),
        description=f"{number(row.quantity_after)} instead of {number(row.quantity_before)}",
        as_of=row.updated_at,
        url=url,
        where=where,
        why=row.reason,
    )
