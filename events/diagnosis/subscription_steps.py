"""The steps about the subscription: which one was in force at the event's time, and does its plan price the feature."""

from django.db.models import Q

from catalog.models import Price
from catalog.models.plans import VersionState
from config.office.links import page_of
from customers.models import Customer, PhaseKind, SubscriptionPhase
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.readings import Reading
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Fix, Status, StepKey
from events.reasons import Reason


def subscription_step(context: Context) -> DiagnosisStep:
    """Report which phase of which subscription was in force at the event's time, as recorded today."""
    customer = context.customer.assumed
    if customer is None:
        return DiagnosisStep(StepKey.SUBSCRIPTION, Status.INFO, "Not known, because the customer is unknown.")
    phases = context.phases_at
    if not phases:
        return _no_phase(context, customer)
    phase = next((phase for phase in phases if phase.kind == PhaseKind.ACTIVE), phases[0])
    comparisons = _history_changes(context)
    status, reason = Status.WARNING if comparisons else Status.PASS, None
    when = f"when the event occurred ({wording.minute(context.subject.occurred_at, phase.subscription.timezone)})"
    kinds = {phase.kind for phase in phases}
    if PhaseKind.ACTIVE in kinds:
        others = f" and {len(phases) - 1} more" if len(phases) > 1 else ""
        sentence = f"On {phase.plan_version}{others} {when}."
    elif PhaseKind.TRIAL in kinds:
        status, reason = Status.WARNING, Reason.SUBSCRIPTION_IN_TRIAL
        sentence = f"In trial on {phase.plan_version} {when}: usage is counted, but free of charge."
    else:
        status, reason = Status.FAIL, Reason.SUBSCRIPTION_PAUSED
        sentence = f"Paused {when}: usage is counted, but not billed."
    return DiagnosisStep(
        StepKey.SUBSCRIPTION,
        status,
        sentence,
        reason,
        [_phase_evidence(phase) for phase in phases],
        comparisons,
        [_history_fix(phase)],
    )


def _no_phase(context: Context, customer: Customer) -> DiagnosisStep:
    reason, sentence, nearest_phase = _between_phases(context, customer)
    parameters = {"customer": str(customer.pk), "at": context.subject.occurred_at.isoformat()}
    fixes = [Fix("Create a subscription", action="create_subscription", parameters=parameters)]
    if nearest_phase is not None:
        fixes.append(_history_fix(nearest_phase))
    return DiagnosisStep(
        StepKey.SUBSCRIPTION,
        Status.FAIL,
        sentence,
        reason,
        [_phase_evidence(phase) for phase in context.phases[-5:]],
        _history_changes(context),
        fixes,
    )


def _between_phases(context: Context, customer: Customer) -> tuple[Reason, str, SubscriptionPhase | None]:
    """Say how the event's time relates to the customer's phases, and return the nearest phase."""
    at = context.subject.occurred_at
    ended = [(phase.ends_at, phase) for phase in context.phases if phase.ends_at is not None and phase.ends_at <= at]
    later = [phase for phase in context.phases if phase.starts_at > at]
    if later:
        first = min(later, key=lambda phase: phase.starts_at)
        gap = wording.duration(at, first.starts_at)
        between = "between two subscriptions, " if ended else ""
        sentence = (
            f"The event occurred {between}{gap} before the subscription to {first.plan_version} starts "
            f"({wording.minute(first.starts_at, first.subscription.timezone)})."
        )
        return Reason.NO_SUBSCRIPTION_AT_TIME, sentence, first
    if ended:
        end, last = max(ended, key=lambda pair: pair[0])
        sentence = (
            f"The subscription to {last.plan_version} had ended on {wording.minute(end, last.subscription.timezone)}, "
            f"{wording.duration(end, at)} before the event occurred."
        )
        return Reason.SUBSCRIPTION_ENDED, sentence, last
    if context.subscriptions:
        sentence = f"{customer.name}'s subscription was canceled before it started, so nothing is billed."
    else:
        sentence = f"{customer.name} has never had a subscription, so nothing is billed."
    return Reason.NO_SUBSCRIPTION_AT_TIME, sentence, None


def _history_fix(phase: SubscriptionPhase) -> Fix:
    return Fix("Open the subscription's history", url=page_of(phase.subscription))


def _phase_evidence(phase: SubscriptionPhase) -> Evidence:
    zone = phase.subscription.timezone
    end = f" to {wording.minute(phase.ends_at, zone)}" if phase.ends_at else ""
    value = f"{phase.get_kind_display()} on {phase.plan_version}, from {wording.minute(phase.starts_at, zone)}{end}"
    return Evidence("Phase", value, page_of(phase.subscription))


def _history_changes(context: Context) -> tuple[Comparison, ...]:
    """Compare the history recorded when the event was processed with today's, if they differ."""
    subject = context.subject
    if subject.processed_at is None or not context.subscriptions:
        return ()
    rows = SubscriptionPhase.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=subject.occurred_at),
        Q(superseded_at=None) | Q(superseded_at__gt=subject.processed_at),
        subscription__in=list(context.subscriptions),
        starts_at__lte=subject.occurred_at,
        recorded_at__lte=subject.processed_at,
    )
    before = {_phase_key(phase) for phase in rows.select_related("plan_version__plan")}
    today = {_phase_key(phase) for phase in context.phases_at}
    if before == today:
        return ()
    changed = [phase for phase in context.phases_at if phase.recorded_at > subject.processed_at]
    reasons = "; ".join(dict.fromkeys(phase.reason for phase in changed if phase.reason)) or "no reason was recorded"
    return (
        Comparison(
            f"As recorded when processed, {wording.minute(subject.processed_at)}",
            "As recorded today",
            (("In force then", _describe(before), _describe(today)), ("Changed because", "", reasons)),
        ),
    )


def _phase_key(phase: SubscriptionPhase) -> tuple[int, str, str]:
    return phase.subscription_id, str(phase.plan_version), phase.get_kind_display()


def _describe(phases: set[tuple[int, str, str]]) -> str:
    return ", ".join(sorted(f"{kind} on {version}" for _, version, kind in phases)) or "no subscription"


def plan_steps(context: Context, reading: Reading) -> list[DiagnosisStep]:
    """Report whether the plan in force at the event's time prices the feature on the subscription's terms."""
    if not context.phases_at:
        sentence = "Not known, because there was no subscription and so no plan."
        return [reading.step(StepKey.PLAN, Status.INFO, sentence)]
    steps = [_plan_step(context, reading, phase) for phase in context.phases_at]
    return [step for step in steps if step.status == Status.PASS] or steps


def _plan_step(context: Context, reading: Reading, phase: SubscriptionPhase) -> DiagnosisStep:
    feature, version, subscription = reading.feature, phase.plan_version, phase.subscription
    plan = Evidence("Plan version", str(version), page_of(version))
    if price := context.price_in(phase, feature.pk):
        value = f"{price.get_model_display().partition(':')[0]}, {_terms(price)}"
        sentence = f"{version} prices {feature.name}."
        return reading.step(StepKey.PLAN, Status.PASS, sentence, evidence=[plan, Evidence("Price", value)])
    feature_prices = [price for price in context.prices.get(version.pk, []) if price.feature_id == feature.pk]
    if feature_prices:
        terms = f"{subscription.currency} {subscription.get_interval_display().lower()}"
        offered = ", ".join(map(_terms, feature_prices))
        sentence = f"{version} prices {feature.name}, but only in {offered}; the subscription is billed in {terms}."
    else:
        sentence = f"{version} has no price for {feature.name}: usage is counted, but not billed."
        if newer := _newer_version_with(reading, phase):
            sentence += f" {newer} has a price, but the subscription isn't on it."
    parameters = {
        "subscription": str(subscription.pk),
        "feature": str(feature.pk),
        "at": context.subject.occurred_at.isoformat(),
    }
    fixes = [
        Fix(f"Add {feature.name} to {version.plan}", action="add_to_plan", parameters=parameters),
        Fix("Open the plan", url=page_of(version.plan)),
    ]
    return reading.step(StepKey.PLAN, Status.FAIL, sentence, Reason.FEATURE_NOT_IN_PLAN, evidence=[plan], fixes=fixes)


def _terms(price: Price) -> str:
    return f"{price.currency} {price.get_interval_display().lower()}"


def _newer_version_with(reading: Reading, phase: SubscriptionPhase) -> str:
    newer = Price.objects.filter(
        feature=reading.feature,
        version__plan=phase.plan_version.plan,
        version__base=None,
        version__number__gt=phase.plan_version.number,
        version__state=VersionState.PUBLISHED,
    ).select_related("version__plan")
    price = newer.order_by("-version__number").first()
    return str(price.version) if price else ""
