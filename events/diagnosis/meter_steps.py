"""The steps of the meter: name, feature, filter, field and value, per feature that the name feeds."""

from catalog.models import Aggregation, Feature
from config.office.links import admin_url, page_of
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.near_miss import nearest
from events.diagnosis.readings import Reading, holds_numeric_string
from events.diagnosis.steps import Comparison, DiagnosisStep, Evidence, Fix, Status, StepKey
from events.models import Problem
from events.reasons import Reason

JUDGED = (
    ("event_name", "Event name"),
    ("aggregation", "Aggregation"),
    ("field", "Aggregation field"),
    ("filters", "Filters"),
    ("accept_numeric_strings", "Accepts numeric strings"),
    ("state", "State"),
    ("counts_from", "Counts from"),
)


def name_step(context: Context) -> DiagnosisStep:
    """Tell which features the name feeds, or which name was probably meant."""
    sent, match = context.subject.event_name, context.name
    if match.is_known:
        names = ", ".join(reading.feature.name for reading in match.readings)
        how = "mapped to" if match.readings[0].by_alias else "the event name of"
        evidence = [feature_evidence(reading.feature) for reading in match.readings]
        if context.open_problems(None) and any(
            problem.reason == Reason.UNKNOWN_EVENT_NAME for problem in context.open_problems(None)
        ):
            sentence = f"Unknown when it was processed; today {wording.quoted(sent)} is {how} {names}."
            return DiagnosisStep(
                StepKey.EVENT_NAME, Status.WARNING, sentence, evidence=tuple(evidence), fixes=(replay_fix(context),)
            )
        sentence = f"{wording.quoted(sent)} is {how} {names}."
        return DiagnosisStep(StepKey.EVENT_NAME, Status.PASS, sentence, evidence=tuple(evidence))
    return _unknown_name(context)


def _unknown_name(context: Context) -> DiagnosisStep:
    sent, match = context.subject.event_name, context.name
    create = Fix("Create a feature with this event name", url=admin_url("catalog_feature_add", event_name=sent))
    if match.suspected is None:
        sentence = f"No feature has the event name {wording.quoted(sent)}, and none comes near it."
        return DiagnosisStep(
            StepKey.EVENT_NAME,
            Status.FAIL,
            sentence,
            Reason.UNKNOWN_EVENT_NAME,
            (_sent("Sent", sent),),
            fixes=(create,),
        )
    meant = match.suspected
    right = match.readings[0].feature.event_name if match.readings else meant.name
    sentence = (
        f"No feature has the event name {wording.quoted(sent)}; {wording.quoted(meant.name)} {meant.how}. "
        f"The steps below judge the event as if it were {wording.quoted(meant.name)}."
    )
    evidence = [_sent("Sent", sent), _sent("Probably meant", meant.name)]
    evidence += [feature_evidence(reading.feature) for reading in match.readings]
    mapping = Fix(
        f"Count {wording.quoted(sent)} as {wording.quoted(right)}",
        action="map_event_name",
        parameters={"alias": sent, "event_name": right},
    )
    return DiagnosisStep(
        StepKey.EVENT_NAME, Status.FAIL, sentence, Reason.UNKNOWN_EVENT_NAME, tuple(evidence), fixes=(mapping, create)
    )


def feature_steps(context: Context, reading: Reading) -> list[DiagnosisStep]:
    """Judge one feature's state, filter, field and value. Each is judged by itself, whatever the others say."""
    return [
        _state_step(context, reading),
        _filter_step(context, reading),
        _field_step(context, reading),
        _value_step(context, reading),
    ]


def _state_step(context: Context, reading: Reading) -> DiagnosisStep:
    feature, subject = reading.feature, context.subject
    evidence = [feature_evidence(feature)]
    if feature.archived_at is not None:
        evidence.append(Evidence("Archived", wording.moment(feature.archived_at)))
        if feature.archived_at <= subject.received_at:
            sentence = f"{feature.name} was archived when the event arrived, so it doesn't count it."
            fix = Fix("Activate the feature", action="activate_feature", parameters={"feature": str(feature.pk)})
            return reading.step(
                StepKey.FEATURE,
                Status.FAIL,
                sentence,
                Reason.FEATURE_ARCHIVED,
                evidence=tuple(evidence),
                fixes=(fix,),
            )
        sentence = f"{feature.name} was active when the event arrived. It is archived today."
        return reading.step(StepKey.FEATURE, Status.WARNING, sentence, evidence=tuple(evidence))
    if feature.counts_from is not None and feature.counts_from > subject.occurred_at:
        evidence.append(Evidence("Counts from", wording.moment(feature.counts_from)))
        sentence = (
            f"{feature.name} counts events from {wording.minute(feature.counts_from)} on; this one occurred before."
        )
        fix = Fix(
            "Let it count earlier",
            action="count_earlier",
            parameters={"feature": str(feature.pk), "at": subject.occurred_at.isoformat()},
        )
        return reading.step(
            StepKey.FEATURE,
            Status.FAIL,
            sentence,
            Reason.BEFORE_FEATURE_START,
            evidence=tuple(evidence),
            fixes=(fix,),
        )
    stored = _stored(context, reading, Reason.FEATURE_ARCHIVED, Reason.BEFORE_FEATURE_START)
    if stored:
        before = stored.get_reason_display().lower()
        sentence = f"{feature.name} didn't count it when it was processed ({before}); today it would."
        return reading.step(
            StepKey.FEATURE,
            Status.WARNING,
            sentence,
            fixes=(replay_fix(context),),
            comparisons=then_and_now(stored, feature),
        )
    return reading.step(StepKey.FEATURE, Status.PASS, f"{feature.name} is active.", evidence=tuple(evidence))


def _filter_step(context: Context, reading: Reading) -> DiagnosisStep:
    feature = reading.feature
    if not feature.filters:
        return reading.step(StepKey.FILTER, Status.PASS, "The feature has no filter: every event of its name counts.")
    properties = context.subject.parsed
    evidence = []
    for name, wanted in feature.filters.items():
        choices = " or ".join(map(str, wanted if isinstance(wanted, list) else [wanted]))
        evidence.append(Evidence(f"{name} must be", f"{choices}; sent: {_shown(properties, name)}"))
    stored = _stored(context, reading, Reason.FILTER_MISMATCH) or _stored_for_all(context, Reason.FILTER_MISMATCH)
    if not reading.passes_filter:
        others = [other for other in context.readings if other is not reading and other.passes_filter]
        if others:
            sentence = f"It doesn't match this feature's filter, and needn't: {others[0].feature.name} takes it."
            return reading.step(StepKey.FILTER, Status.INFO, sentence, evidence=tuple(evidence))
        sentence = "The name fits, but the properties don't match the filter."
        fix = Fix("Look at the filter", url=page_of(feature))
        return reading.step(
            StepKey.FILTER,
            Status.FAIL,
            sentence,
            Reason.FILTER_MISMATCH,
            evidence=tuple(evidence),
            fixes=(fix,),
        )
    if stored:
        sentence = "It didn't match the filter when it was processed; by today's filter it does."
        return reading.step(
            StepKey.FILTER,
            Status.WARNING,
            sentence,
            evidence=tuple(evidence),
            comparisons=then_and_now(stored, feature),
            fixes=(replay_fix(context),),
        )
    return reading.step(StepKey.FILTER, Status.PASS, "The properties match the filter.", evidence=tuple(evidence))


def _field_step(context: Context, reading: Reading) -> DiagnosisStep:
    feature = reading.feature
    if feature.aggregation == Aggregation.COUNT:
        return reading.step(StepKey.FIELD, Status.PASS, "The feature counts events and needs no field.")
    sent = list(context.subject.parsed)
    evidence = [
        Evidence("Aggregation field", feature.field, is_code=True),
        Evidence("Properties sent", ", ".join(sent[:50]) or "none", is_code=bool(sent)),
    ]
    if reading.value_reason != Reason.AGGREGATION_FIELD_MISSING:
        return reading.step(
            StepKey.FIELD, Status.PASS, f"The field {feature.field} is there.", evidence=tuple(evidence)
        )
    null = reading.value_type == "null"
    meant = nearest(feature.field, sent)
    if null:
        sentence = f"The field {feature.field} is null; it must hold a value."
    elif not sent:
        sentence = f"The event has no properties; {feature.name} needs the field {feature.field}."
    elif meant:
        sentence = (
            f"The field {feature.field} is missing. The event has {wording.quoted(meant.name)}, which {meant.how}."
        )
        evidence.append(Evidence("Probably meant", meant.name, is_code=True))
    else:
        sentence = f"The field {feature.field} is missing among the properties sent."
    fixes = (Fix("Look at the feature's definition", url=page_of(feature)),)
    stored = _stored(context, reading, Reason.AGGREGATION_FIELD_MISSING)
    return reading.step(
        StepKey.FIELD,
        Status.FAIL,
        sentence,
        Reason.AGGREGATION_FIELD_MISSING,
        evidence=tuple(evidence),
        fixes=fixes,
        comparisons=then_and_now(stored, feature) if stored else (),
    )


def _value_step(context: Context, reading: Reading) -> DiagnosisStep:
    feature = reading.feature
    if feature.aggregation == Aggregation.COUNT:
        return reading.step(StepKey.VALUE, Status.PASS, "Every event counts as 1.")
    evidence = [Evidence("Value sent", reading.value or "nothing", is_code=reading.value is not None)]
    if reading.value_type:
        evidence.append(Evidence("Its type", reading.value_type))
    if reading.value_reason == Reason.AGGREGATION_FIELD_MISSING:
        sentence = "There is no value to judge: the field is missing."
        return reading.step(StepKey.VALUE, Status.INFO, sentence, evidence=tuple(evidence))
    if reading.value_reason:
        return _bad_value(context, reading, tuple(evidence))
    stored = _stored(context, reading, Reason.NOT_A_NUMBER, Reason.UNUSABLE_VALUE, Reason.VALUE_OUT_OF_RANGE)
    if stored:
        sentence = (
            f"It was refused when it was processed ({stored.get_reason_display().lower()}); today it would count."
        )
        return reading.step(
            StepKey.VALUE,
            Status.WARNING,
            sentence,
            evidence=tuple(evidence),
            comparisons=then_and_now(stored, feature),
            fixes=(replay_fix(context),),
        )
    if feature.aggregation == Aggregation.UNIQUE_COUNT:
        return reading.step(
            StepKey.VALUE,
            Status.PASS,
            "A string or a number, as a unique count needs.",
            evidence=tuple(evidence),
        )
    sentence = "A JSON number." if reading.value_type == "number" else "A numeric string, which the feature accepts."
    if reading.adds is not None and reading.adds < 0:
        sentence += " It is negative: it lowers the usage."
    return reading.step(StepKey.VALUE, Status.PASS, sentence, evidence=tuple(evidence))


def _bad_value(context: Context, reading: Reading, evidence: tuple[Evidence, ...]) -> DiagnosisStep:
    feature, reason = reading.feature, reading.value_reason
    fixes: tuple[Fix, ...] = (Fix("Look at the feature's definition", url=page_of(feature)),)
    if reason == Reason.NOT_A_NUMBER:
        sentence = f"{feature.get_aggregation_display()} needs a JSON number; the field holds {_type_words(reading)}."
        if _is_numeric_string(context, reading):
            sentence += " The text is a number: the feature can be told to accept such strings."
            accept = Fix(
                "Accept numeric strings", action="accept_numeric_strings", parameters={"feature": str(feature.pk)}
            )
            fixes = (accept, *fixes)
    elif reason == Reason.UNUSABLE_VALUE:
        sentence = f"A unique count needs a string or a number; the field holds {_type_words(reading)}."
    else:
        sentence = "The number is too large or has too many decimals to be counted exactly."
    return reading.step(StepKey.VALUE, Status.FAIL, sentence, reason, evidence=evidence, fixes=fixes)


def _is_numeric_string(context: Context, reading: Reading) -> bool:
    """Tell whether the value would be a number if the feature accepted numeric strings."""
    return holds_numeric_string(context.subject, reading.feature)


def _type_words(reading: Reading) -> str:
    words = {
        "boolean": "true or false",
        "array": "a list",
        "object": "an object",
        "string": "a string",
        "number": "a number",
    }
    return f"{words.get(reading.value_type or '', 'nothing')} ({reading.value})"


def _stored(context: Context, reading: Reading, *reasons: Reason) -> Problem | None:
    """Return the open problem that processing stored for this feature and one of these reasons."""
    return next((one for one in context.open_problems(reading.feature.pk) if one.reason in reasons), None)


def _stored_for_all(context: Context, *reasons: Reason) -> Problem | None:
    return next((one for one in context.open_problems(None) if one.reason in reasons), None)


def then_and_now(problem: Problem, feature: Feature) -> tuple[Comparison, ...]:
    """Put the configuration that the problem was judged by beside today's, if they differ."""
    then = problem.judged_by
    if not then:
        return ()
    now = {name: getattr(feature, name) for name, _ in JUDGED}
    rows = [(label, _plain(then.get(name)), _plain(now[name])) for name, label in JUDGED if name in then]
    rows = [row for row in rows if row[1] != row[2]]
    if not rows:
        return ()
    return (Comparison(f"Judged by, {wording.minute(problem.judged_at)}", "Today", tuple(rows)),)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", {}):
        return "none"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def replay_fix(context: Context) -> Fix:
    """Offer to judge the event anew by today's configuration."""
    return Fix("Replay the event", action="replay", parameters={"ledger_id": str(context.subject.pk or "")})


def feature_evidence(feature: Feature) -> Evidence:
    return Evidence("Feature", f"{feature.name} ({feature.get_state_display().lower()})", page_of(feature))


def _sent(label: str, text: str) -> Evidence:
    return Evidence(label, text, is_code=True)


def _shown(properties: dict[str, object], name: str) -> str:
    found: object = properties
    if name in properties:
        return str(properties[name])[:100]
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return "nothing"
        found = found[part]
    return str(found)[:100]
