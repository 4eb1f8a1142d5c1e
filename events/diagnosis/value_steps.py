"""The steps about the aggregation field: was it sent, and can its value be counted."""

from collections.abc import Mapping

from catalog.models import Aggregation, Feature
from config.near_miss import nearest
from config.office.links import page_of
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.readings import Reading
from events.diagnosis.steps import DiagnosisStep, Evidence, Fix, Status, StepKey
from events.diagnosis.stored import configuration_changes, replay_fix, stored_problem
from events.reasons import Reason

JSON_TYPES = {
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "string": "a string",
    "number": "a number",
}


def field_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report whether the feature's aggregation field was sent, or which property was probably meant."""
    feature = reading.feature
    if feature.aggregation == Aggregation.COUNT:
        return reading.step(StepKey.FIELD, Status.PASS, "The feature counts events and needs no field.")
    sent = list(context.subject.parsed)
    evidence = [
        Evidence("Aggregation field", feature.field, is_code=True),
        Evidence("Properties sent", ", ".join(sent[:50]) or "none", is_code=bool(sent)),
    ]
    if reading.value_reason != Reason.AGGREGATION_FIELD_MISSING:
        name = next((name for name in feature.field_aliases if name in sent), "")
        is_alias = name and _is_missing(context.subject.parsed, feature.field)
        sentence = (
            f"{name} was sent, and is read as {feature.field}." if is_alias else f"The field {feature.field} was sent."
        )
        return reading.step(StepKey.FIELD, Status.PASS, sentence, evidence=evidence)
    fixes = []
    if reading.value_type == "null":
        sentence = f"The field {feature.field} is null; it needs a value."
    elif not sent:
        sentence = f"The event has no properties; {feature.name} needs the field {feature.field}."
    elif similar := nearest(feature.field, sent):
        name = wording.quoted(similar.name)
        sentence = f"The field {feature.field} is missing. The event has {name}, which {similar.how}."
        evidence.append(Evidence("Probably meant", similar.name, is_code=True))
        fixes.append(_alias_fix(feature, similar.name))
    else:
        sentence = f"The field {feature.field} is missing from the event's properties."
        fixes.append(_alias_fix(feature))
    stored = stored_problem(context, feature, Reason.AGGREGATION_FIELD_MISSING)
    return reading.step(
        StepKey.FIELD,
        Status.FAIL,
        sentence,
        Reason.AGGREGATION_FIELD_MISSING,
        evidence=evidence,
        fixes=[*fixes, Fix("Open the feature", url=page_of(feature))],
        comparisons=configuration_changes(stored, feature),
    )


def _alias_fix(feature: Feature, name: str = "") -> Fix:
    """Offer to read the property as the feature's field; without a name, to choose among those that were sent."""
    parameters = {"feature": str(feature.pk)} | ({"property": name} if name else {})
    label = f"Read {wording.quoted(name)} as {feature.field}" if name else f"Read another property as {feature.field}"
    return Fix(label, action="alias_property", parameters=parameters)


def _is_missing(properties: Mapping[str, object], field: str) -> bool:
    """Tell whether a field is neither a property nor the path of one that its dots spell."""
    value: object = properties
    if field in properties:
        return False
    for part in field.split("."):
        if not isinstance(value, dict) or part not in value:
            return True
        value = value[part]
    return False


def value_step(context: Context, reading: Reading) -> DiagnosisStep:
    """Report whether the value can be counted by the feature's aggregation."""
    feature = reading.feature
    if feature.aggregation == Aggregation.COUNT:
        return reading.step(StepKey.VALUE, Status.PASS, "Every event counts as 1.")
    evidence = [Evidence("Value sent", reading.value or "nothing", is_code=reading.value is not None)]
    if reading.value_type:
        evidence.append(Evidence("Type", reading.value_type))
    if reading.value_reason == Reason.AGGREGATION_FIELD_MISSING:
        return reading.step(StepKey.VALUE, Status.INFO, "No value to check: the field is missing.", evidence=evidence)
    if reading.value_reason:
        return _bad_value(context, reading, evidence)
    stored = stored_problem(context, feature, Reason.NOT_A_NUMBER, Reason.UNUSABLE_VALUE, Reason.VALUE_OUT_OF_RANGE)
    if stored:
        reason = stored.get_reason_display().lower()
        return reading.step(
            StepKey.VALUE,
            Status.WARNING,
            f"The value wasn't counted when the event was processed ({reason}); today it would be.",
            evidence=evidence,
            comparisons=configuration_changes(stored, feature),
            fixes=[replay_fix(context)],
        )
    if feature.aggregation == Aggregation.UNIQUE_COUNT:
        sentence = "A string or a number, as a unique count needs."
        return reading.step(StepKey.VALUE, Status.PASS, sentence, evidence=evidence)
    sentence = "A JSON number." if reading.value_type == "number" else "A numeric string, which the feature accepts."
    if reading.adds is not None and reading.adds < 0:
        sentence += " It is negative, so it reduces the usage."
    return reading.step(StepKey.VALUE, Status.PASS, sentence, evidence=evidence)


def _bad_value(context: Context, reading: Reading, evidence: list[Evidence]) -> DiagnosisStep:
    feature, reason = reading.feature, reading.value_reason
    value = f"{JSON_TYPES.get(reading.value_type or '', 'nothing')} ({reading.value})"
    fixes = [Fix("Open the feature", url=page_of(feature))]
    if reason == Reason.NOT_A_NUMBER:
        sentence = f"{feature.get_aggregation_display()} needs a JSON number; the field holds {value}."
        if reading.has_number:
            sentence += (
                " The string contains a number: official Flexprice SDKs send numbers as text. Let the feature accept"
                " numeric strings, or send the number without quotes."
            )
            parameters = {"feature": str(feature.pk)}
            fixes.insert(0, Fix("Accept numeric strings", action="accept_numeric_strings", parameters=parameters))
    elif reason == Reason.UNUSABLE_VALUE:
        sentence = f"A unique count needs a string or a number; the field holds {value}."
    else:
        sentence = "The number is too large or has too many decimals to be counted exactly."
    return reading.step(StepKey.VALUE, Status.FAIL, sentence, reason, evidence=evidence, fixes=fixes)
