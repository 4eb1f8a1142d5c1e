"""Usage, counted again from the events."""

from datetime import UTC, datetime, timedelta

from billing.kinds import ProofKind, ProofSubject
from billing.models import ProofRun
from billing.proofs.checks.base import Coverage, Part
from billing.proofs.findings import Findings, Found
from billing.proofs.scope import days_of, describe_months
from catalog.models import Feature
from config.numbers import number
from customers.models import Customer
from events.ledger.rebuilding import Difference, Scope, compare, count_buckets
from events.models import UsageBucket


class Usage:
    """Every hour of stored usage of the covered days, against a recount of the ledger."""

    kind = ProofKind.USAGE

    def cover(self, run: ProofRun) -> Coverage | None:
        if run.invoice_id is not None:
            return None
        if run.customer_id is not None:
            return Coverage(f"All usage: {run.scope_name}", [Part(0, 0)])
        first = UsageBucket.objects.order_by("hour").values_list("hour", flat=True).first()
        days = [day.start.toordinal() for day in days_of(run, first)] if first else []
        scope = describe_months(run) if run.is_nightly else run.scope_name
        return Coverage(f"Hours of usage: {scope}", [Part(day, day) for day in days])

    def prove(self, run: ProofRun, part: Part) -> Findings:
        scope = _scope(run, part)
        differences = {(item.customer_id, item.feature_id, item.hour): item for item in compare(scope)}
        findings = Findings(checked=max(count_buckets(scope), len(differences)), differing=len(differences))
        customers = Customer.objects.in_bulk({item.customer_id for item in differences.values()})
        features = Feature.objects.in_bulk({item.feature_id for item in differences.values()})
        findings.found = [
            _found(item, customers[item.customer_id], features[item.feature_id]) for item in differences.values()
        ]
        return findings


def _scope(run: ProofRun, part: Part) -> Scope:
    if run.customer_id is not None:
        return Scope(customer_id=run.customer_id)
    start = datetime.fromordinal(part.first).replace(tzinfo=UTC)
    return Scope(start=start, end=datetime.fromordinal(part.last).replace(tzinfo=UTC) + timedelta(days=1))


def _found(item: Difference, customer: Customer, feature: Feature) -> Found:
    name = f"{customer.external_id}, {feature.name}, {item.hour:%Y-%m-%d %H:%M} UTC"
    if item.kept_events != item.counted_events:
        figures = "Events", f"{item.kept_events:,}", f"{item.counted_events:,}"
    elif item.kept_total != item.counted_total:
        figures = "Sum", number(item.kept_total), number(item.counted_total)
    else:
        figures = "Values", "other values", "the values of the events"
    return Found(ProofSubject.USAGE, item.customer_id, name, *figures)
