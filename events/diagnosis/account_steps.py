"""The steps of the account: the customer, the subscription in force then, and whether its plan has the feature."""

from django.db.models import Q

from catalog.models import Price
from config.office.links import page_of
from customers.models import Customer, CustomerState, PhaseKind, SubscriptionPhase
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.meter_steps import replay_fix
from events.diagnosis.readings import Reading
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Fix, Status, StepKey
from events.reasons import Reason


def customer_step(context: Context) -> DiagnosisStep:
    """Tell whom the external id means, or who was probably meant."""
    match, subject = context.customer, context.subject
    sent = subject.external_customer_id
    if match.customer is None:
        return _unknown_customer(context)
    customer = match.customer
    evidence = [_customer_evidence(customer), Evidence("Sent", sent, is_code=True)]
    if match.alias:
        evidence.append(Evidence("Mapped", f"{match.alias}{f', {match.alias.reason}' if match.alias.reason else ''}"))
    if customer.archived_at is not None and customer.archived_at <= subject.received_at:
        evidence.append(Evidence("Archived", wording.moment(customer.archived_at)))
        sentence = f"{customer.name} was archived when the event arrived."
        fix = Fix("Activate the customer", action="activate_customer", parameters={"customer": str(customer.pk)})
        return DiagnosisStep(
            StepKey.CUSTOMER, Status.FAIL, sentence, Reason.CUSTOMER_ARCHIVED, tuple(evidence), fixes=(fix,)
        )
    waiting = [
        problem
        for problem in context.open_problems(None)
        if problem.reason in (Reason.UNKNOWN_CUSTOMER, Reason.CUSTOMER_ARCHIVED)
    ]
    if waiting:
        before = waiting[0].get_reason_display().lower()
        sentence = f"Not usable when it was processed ({before}); today it is {customer.name}."
        return DiagnosisStep(
            StepKey.CUSTOMER, Status.WARNING, sentence, evidence=tuple(evidence), fixes=(replay_fix(context),)
        )
    sentence = (
        f"{wording.quoted(sent)} is {customer.name}."
        if not match.alias
        else f"{wording.quoted(sent)} is mapped to {customer.name}."
    )
    if customer.state == CustomerState.ARCHIVED:
        return DiagnosisStep(
            StepKey.CUSTOMER, Status.WARNING, f"{sentence} The customer is archived today.", evidence=tuple(evidence)
        )
    return DiagnosisStep(StepKey.CUSTOMER, Status.PASS, sentence, evidence=tuple(evidence))


def _unknown_customer(context: Context) -> DiagnosisStep:
    sent, match = context.subject.external_customer_id, context.customer
    evidence = [Evidence("Sent", sent, is_code=True)]
    create = Fix(
        f"Create the customer {wording.quoted(sent)}",
        action="create_customer",
        parameters={"external_id": sent, "name": sent},
    )
    if match.near is None or match.suspected is None:
        sentence = f"No customer has the external id {wording.quoted(sent)}, and none comes near it."
        return DiagnosisStep(
            StepKey.CUSTOMER, Status.FAIL, sentence, Reason.UNKNOWN_CUSTOMER, tuple(evidence), fixes=(create,)
        )
    meant = match.suspected
    evidence.append(_customer_evidence(meant, "Probably meant"))
    sentence = (
        f"No customer has the external id {wording.quoted(sent)}; {wording.quoted(meant.external_id)} "
        f"({meant.name}) {match.near.how}. The steps below judge the event as if it were theirs."
    )
    mapping = Fix(
        f"Count {wording.quoted(sent)} for {meant.name}",
        action="map_customer",
        parameters={"alias": sent, "customer": str(meant.pk)},
    )
    return DiagnosisStep(
        StepKey.CUSTOMER, Status.FAIL, sentence, Reason.UNKNOWN_CUSTOMER, tuple(evidence), fixes=(mapping, create)
    )


def _customer_evidence(customer: Customer, label: str = "Customer") -> Evidence:
    return Evidence(label, f"{customer.name} ({customer.external_id})", page_of(customer))


def subscription_step(context: Context) -> DiagnosisStep:
    """Tell which phase of which subscription held the event's moment, by the history as it is recorded."""
    customer, at = context.customer.assumed, context.subject.occurred_at
    if customer is None:
        sentence = "Not known: there is no customer to look for."
        return DiagnosisStep(StepKey.SUBSCRIPTION, Status.INFO, sentence)
    if not context.phases_at:
        return _no_phase(context, customer)
    evidence = tuple(_phase_evidence(phase) for phase in context.phases_at)
    comparisons = _history_changed(context)
    kinds = {phase.kind for phase in context.phases_at}
    best = next((phase for phase in context.phases_at if phase.kind == PhaseKind.ACTIVE), context.phases_at[0])
    fix = (Fix("Open the subscription's history", url=page_of(best.subscription)),)
    more = {"evidence": evidence, "comparisons": comparisons, "fixes": fix}
    when = wording.minute(at, best.subscription.timezone)
    if PhaseKind.ACTIVE in kinds:
        several = f" and {len(context.phases_at) - 1} more" if len(context.phases_at) > 1 else ""
        status = Status.WARNING if comparisons else Status.PASS
        sentence = f"On {best.plan_version}{several} when it occurred ({when})."
        return DiagnosisStep(StepKey.SUBSCRIPTION, status, sentence, **more)  # type: ignore[arg-type]
    if PhaseKind.TRIAL in kinds:
        sentence = f"In trial on {best.plan_version} when it occurred ({when}): usage is counted, and free of charge."
        return DiagnosisStep(StepKey.SUBSCRIPTION, Status.WARNING, sentence, Reason.SUBSCRIPTION_IN_TRIAL, **more)  # type: ignore[arg-type]
    sentence = f"Paused when it occurred ({when}): usage is counted, and isn't billed."
    return DiagnosisStep(StepKey.SUBSCRIPTION, Status.FAIL, sentence, Reason.SUBSCRIPTION_PAUSED, **more)  # type: ignore[arg-type]


def _no_phase(context: Context, customer: Customer) -> DiagnosisStep:
    at = context.subject.occurred_at
    create = Fix(
        "Create a subscription",
        action="create_subscription",
        parameters={"customer": str(customer.pk), "starts_at": at.isoformat()},
    )
    reason, sentence, nearest_phase = _between_phases(context, customer)
    fixes = [create]
    if nearest_phase is not None:
        fixes.append(Fix("Open the subscription's history", url=page_of(nearest_phase.subscription)))
    evidence = tuple(_phase_evidence(phase) for phase in context.phases[-5:])
    changed = _history_changed(context)
    return DiagnosisStep(StepKey.SUBSCRIPTION, Status.FAIL, sentence, reason, evidence, changed, tuple(fixes))


def _between_phases(context: Context, customer: Customer) -> tuple[Reason, str, SubscriptionPhase | None]:
    """Say how the moment lies to the customer's phases, none of which holds it; with the phase that lies nearest."""
    at = context.subject.occurred_at
    ended = [phase for phase in context.phases if phase.ends_at is not None and phase.ends_at <= at]
    later = [phase for phase in context.phases if phase.starts_at > at]
    if ended and not later:
        last = max(ended, key=lambda phase: phase.ends_at or phase.starts_at)
        end = last.ends_at or last.starts_at
        sentence = (
            f"The subscription to {last.plan_version} had ended on {wording.minute(end, last.subscription.timezone)}, "
            f"{wording.ago(end, at)} when the event occurred."
        )
        return Reason.SUBSCRIPTION_ENDED, sentence, last
    if not later:
        sentence = f"{customer.name} has never had a subscription, so nothing is billed."
        if context.subscriptions:
            sentence = f"{customer.name}'s subscription was cancelled before it began, so nothing is billed."
        return Reason.NO_SUBSCRIPTION_AT_TIME, sentence, None
    first = min(later, key=lambda phase: phase.starts_at)
    gap = wording.ago(first.starts_at, at).removeprefix("in ")
    after = "between two subscriptions: " if ended else ""
    sentence = (
        f"The event occurred {after}{gap} before the subscription to {first.plan_version} starts "
        f"({wording.minute(first.starts_at, first.subscription.timezone)})."
    )
    return Reason.NO_SUBSCRIPTION_AT_TIME, sentence, first


def _phase_evidence(phase: SubscriptionPhase) -> Evidence:
    zone = phase.subscription.timezone
    end = wording.minute(phase.ends_at, zone) if phase.ends_at else "now on"
    until = f"to {end}" if phase.ends_at else "on"
    value = f"{phase.get_kind_display()} on {phase.plan_version}, from {wording.minute(phase.starts_at, zone)} {until}"
    return Evidence("Phase", value, page_of(phase.subscription))


def _history_changed(context: Context) -> tuple[Comparison, ...]:
    """Show what the history said when the event was processed, where it says something else today."""
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
    then = {
        (phase.subscription_id, str(phase.plan_version), phase.get_kind_display())
        for phase in rows.select_related("plan_version__plan")
    }
    today = {(phase.subscription_id, str(phase.plan_version), phase.get_kind_display()) for phase in context.phases_at}
    if then == today:
        return ()
    changed = [phase for phase in context.phases_at if phase.recorded_at > subject.processed_at]
    why = "; ".join(dict.fromkeys(phase.reason for phase in changed if phase.reason)) or "no reason was needed"
    left, right = _said(then), _said(today)
    rows_shown = (("In force then", left, right), ("Changed because", "", why))
    return (
        Comparison(
            f"Recorded when it was processed, {wording.minute(subject.processed_at)}", "Recorded today", rows_shown
        ),
    )


def _said(phases: set[tuple[int, str, str]]) -> str:
    return ", ".join(sorted(f"{kind} on {version}" for _, version, kind in phases)) or "no subscription"


def plan_steps(context: Context, reading: Reading) -> list[DiagnosisStep]:
    """Tell for one feature whether the plan in force then has a price for it, on the subscription's terms."""
    if not context.phases_at:
        sentence = "Not known: there was no subscription, and so no plan."
        return [reading.step(StepKey.PLAN, Status.INFO, sentence)]
    steps = [_plan_step(context, reading, phase) for phase in context.phases_at]
    passed = [step for step in steps if step.status == Status.PASS]
    return passed or steps


def _plan_step(context: Context, reading: Reading, phase: SubscriptionPhase) -> DiagnosisStep:
    feature, version, subscription = reading.feature, phase.plan_version, phase.subscription
    plan = Evidence("Plan version", str(version), page_of(version))
    mine = [price for price in context.prices.get(version.pk, []) if price.feature_id == feature.pk]
    if price := context.price_in(phase, feature.pk):
        value = (
            f"{price.get_model_display().partition(':')[0]}, {price.currency} {price.get_interval_display().lower()}"
        )
        sentence = f"{version} prices {feature.name}."
        return reading.step(StepKey.PLAN, Status.PASS, sentence, evidence=(plan, Evidence("Price", value)))
    add = Fix(
        f"Add {feature.name} to {version.plan}",
        action="add_to_plan",
        parameters={
            "subscription": str(subscription.pk),
            "feature": str(feature.pk),
            "at": context.subject.occurred_at.isoformat(),
        },
    )
    open_plan = Fix("Open the plan", url=page_of(version.plan))
    terms = f"{subscription.currency} {subscription.get_interval_display().lower()}"
    if mine:
        offered = ", ".join(f"{price.currency} {price.get_interval_display().lower()}" for price in mine)
        sentence = f"{version} prices {feature.name}, but only in {offered}; the subscription is billed in {terms}."
    else:
        newer = _newer_version_with(reading, phase)
        sentence = f"{version} has no price for {feature.name}: its usage is counted, and isn't billed."
        if newer:
            sentence += f" {newer} has one; the subscription isn't on it."
    return reading.step(
        StepKey.PLAN, Status.FAIL, sentence, Reason.FEATURE_NOT_IN_PLAN, evidence=(plan,), fixes=(add, open_plan)
    )


def _newer_version_with(reading: Reading, phase: SubscriptionPhase) -> str:
    newer = Price.objects.filter(
        feature=reading.feature,
        version__plan=phase.plan_version.plan,
        version__number__gt=phase.plan_version.number,
        version__state="published",
    ).select_related("version__plan")
    found = newer.order_by("-version__number").first()
    return str(found.version) if found else ""
