"""The steps about the event name and the features it feeds: is the name known, is the feature active, does it match."""

from collections.abc import Iterator, Mapping

from django.template.defaultfilters import pluralize

from catalog.models import Feature
from config.office.links import admin_url, page_of
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.readings import Reading
from events.diagnosis.steps import DiagnosisStep, Evidence, Fix, Status, StepKey
from events.diagnosis.stored import configuration_changes, replay_fix, stored_problem
from events.reasons import Reason

MOST_NAMED = 5


def name_step(context: Context) -> DiagnosisStep:
    """Report which features the name feeds, or which name was probably meant."""
    sent, match = context.subject.event_name, context.name
    if not match.is_known:
        return _unknown_name(context)
    names = ", ".join(reading.feature.name for reading in match.readings)
    relation = "mapped to" if match.readings[0].by_alias else "the event name of"
    evidence = [_feature_evidence(reading.feature) for reading in match.readings]
    if stored_problem(context, None, Reason.UNKNOWN_EVENT_NAME):
        sentence = f"Unknown when the event was processed; today {wording.quoted(sent)} is {relation} {names}."
        return DiagnosisStep(
            StepKey.EVENT_NAME, Status.WARNING, sentence, evidence=evidence, fixes=[replay_fix(context)]
        )
    sentence = f"{wording.quoted(sent)} is {relation} {names}."
    return DiagnosisStep(StepKey.EVENT_NAME, Status.PASS, sentence, evidence=evidence)


def _unknown_name(context: Context) -> DiagnosisStep:
    sent, match = context.subject.event_name, context.name
    evidence = [Evidence("Sent", sent, is_code=True)]
    create = Fix("Create a feature with this event name", url=admin_url("catalog_feature_add", event_name=sent))
    if match.suspected is None:
        sentence = f"No feature has the event name {wording.quoted(sent)} or a similar one."
        return DiagnosisStep(
            StepKey.EVENT_NAME, Status.FAIL, sentence, Reason.UNKNOWN_EVENT_NAME, evidence, fixes=[create]
        )
    similar = match.suspected
    event_name = match.readings[0].feature.event_name if match.readings else similar.name
    sentence = (
        f"No feature has the event name {wording.quoted(sent)}; {wording.quoted(similar.name)} {similar.how}. "
        f"The steps below assume that {wording.quoted(similar.name)} was meant."
    )
    evidence.append(Evidence("Probably meant", similar.name, is_code=True))
    evidence += [_feature_evidence(reading.feature) for reading in match.readings]
    mapping = Fix(
        f"Count {wording.quoted(sent)} as {wording.quoted(event_name)}",
        action="map_event_name",
        parameters={"alias": sent, "event_name": event_name},
    )
    return DiagnosisStep(
        StepKey.EVENT_NAME, Status.FAIL, sentence, Reason.UNKNOWN_EVENT_NAME, evidence, fixes=[mapping, create]
    )


def state_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report whether the feature was active, and counting already, when the event came."""
    feature, subject = reading.feature, context.subject
    evidence = [_feature_evidence(feature)]
    if feature.archived_at is not None:
        evidence.append(Evidence("Archived", wording.timestamp(feature.archived_at)))
        if feature.archived_at > subject.received_at:
            sentence = f"{feature.name} was active when the event arrived, but is archived today."
            return reading.step(StepKey.FEATURE, Status.WARNING, sentence, evidence=evidence)
        sentence = f"{feature.name} was already archived when the event arrived, so the event isn't counted."
        fix = Fix("Activate the feature", action="activate_feature", parameters={"feature": str(feature.pk)})
        return reading.step(
            StepKey.FEATURE, Status.FAIL, sentence, Reason.FEATURE_ARCHIVED, evidence=evidence, fixes=[fix]
        )
    if feature.counts_from is not None and feature.counts_from > subject.occurred_at:
        evidence.append(Evidence("Counts from", wording.timestamp(feature.counts_from)))
        sentence = (
            f"{feature.name} counts events from {wording.minute(feature.counts_from)}; this event occurred earlier."
        )
        fix = Fix(
            "Count from an earlier date",
            action="count_earlier",
            parameters={"feature": str(feature.pk), "at": subject.occurred_at.isoformat()},
        )
        return reading.step(
            StepKey.FEATURE, Status.FAIL, sentence, Reason.BEFORE_FEATURE_START, evidence=evidence, fixes=[fix]
        )
    if stored := stored_problem(context, feature, Reason.FEATURE_ARCHIVED, Reason.BEFORE_FEATURE_START):
        reason = stored.get_reason_display().lower()
        sentence = f"{feature.name} didn't count the event when it was processed ({reason}); today it would."
        return reading.step(
            StepKey.FEATURE,
            Status.WARNING,
            sentence,
            fixes=[replay_fix(context)],
            comparisons=configuration_changes(stored, feature),
        )
    return reading.step(StepKey.FEATURE, Status.PASS, f"{feature.name} is active.", evidence=evidence)


def filter_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report whether the event's properties match the feature's filter."""
    feature = reading.feature
    if not feature.is_filtered:
        sentence = "The feature has no filter: it counts every event with its name."
        return reading.step(StepKey.FILTER, Status.PASS, sentence)
    evidence = _filter_evidence(context, reading)
    if not reading.passes_filter:
        sentence = "The event name is right, but the properties don't match the filter."
        if context.others:
            others = len(context.others)
            sentence += (
                f" Nor do they match the filter{pluralize(others)} of {others} other feature{pluralize(others)}."
            )
        return reading.step(
            *(StepKey.FILTER, Status.FAIL, sentence, Reason.FILTER_MISMATCH),
            evidence=evidence,
            fixes=filter_fixes(reading),
        )
    stored = stored_problem(context, feature, Reason.FILTER_MISMATCH)
    if stored := stored or stored_problem(context, None, Reason.FILTER_MISMATCH):
        return reading.step(
            StepKey.FILTER,
            Status.WARNING,
            "The event didn't match the filter when it was processed; it matches today's filter.",
            evidence=evidence,
            comparisons=configuration_changes(stored, feature),
            fixes=[replay_fix(context)],
        )
    return reading.step(StepKey.FILTER, Status.PASS, "The properties match the filter.", evidence=evidence)


def filter_fixes(reading: Reading) -> list[Fix]:
    """Offer to extend the filter by each value that was sent, and to open the feature.

    A variant's values belong to the prices by value. They change with a plan's prices.
    """
    feature = reading.feature
    if feature.variant_of_id:
        return [Fix("Open the feature", url=page_of(feature))]
    fixes = [
        Fix(
            f"Also count {name} = {wording.quoted(value)} in {feature.name}",
            action="extend_filter",
            parameters={"feature": str(feature.pk), "property": name, "value": value},
        )
        for name, value in reading.mismatches.items()
        if value is not None and name in feature.filters
    ]
    return [*fixes, Fix("Open the feature", url=page_of(feature))]


def other_features_step(context: Context) -> Iterator[DiagnosisStep]:
    """Report in one step the features of the event name that leave the event to another one."""
    if not context.others:
        return
    names = ", ".join(reading.feature.name for reading in context.others[:MOST_NAMED])
    more = f" and {len(context.others) - MOST_NAMED} more" if len(context.others) > MOST_NAMED else ""
    evidence = [
        Evidence(reading.feature.name, _why_not(context, reading), page_of(reading.feature))
        for reading in context.others
    ]
    if context.relevant[0].yields:
        fixes = [fix for reading in context.others[:MOST_NAMED] for fix in filter_fixes(reading) if fix.action]
        sentence = f"Other features of this event name don't count the event either: {names}{more}."
        yield DiagnosisStep(StepKey.FILTER, Status.INFO, sentence, evidence=evidence, fixes=fixes)
        return
    sentence = (
        f"Other features of this event name leave the event to {context.relevant[0].feature.name}: {names}{more}."
    )
    yield DiagnosisStep(StepKey.FILTER, Status.INFO, sentence, evidence=evidence)


def _why_not(context: Context, reading: Reading) -> str:
    if reading.mismatches:
        return "; ".join(f"{item.label} {item.value}" for item in _filter_evidence(context, reading))
    return str(reading.reason.label) if reading.reason else "counts the same usage with another price"


def _filter_evidence(context: Context, reading: Reading) -> list[Evidence]:
    feature, evidence = reading.feature, []
    for verb, values in (("must be", feature.filters), ("must not be", feature.excluded)):
        for name, listed in values.items():
            choices = " or ".join(map(str, listed if isinstance(listed, list) else [listed]))
            sent = _property_text(context.subject.parsed, name)
            evidence.append(Evidence(f"{name} {verb}", f"{choices}; sent: {sent}"))
    return evidence


def _feature_evidence(feature: Feature) -> Evidence:
    return Evidence("Feature", f"{feature.name} ({feature.get_state_display().lower()})", page_of(feature))


def _property_text(properties: Mapping[str, object], name: str) -> str:
    """Write a property's value: of that name, or at the path that its dots spell."""
    if name in properties:
        return str(properties[name])[:100]
    value: object = properties
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return "nothing"
        value = value[part]
    return str(value)[:100]
