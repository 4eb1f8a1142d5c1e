"""What was stored about an event when it was processed, compared with today's configuration."""

from catalog.models import Feature
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.steps import Comparison, Fix
from events.models import Problem
from events.reasons import Reason

COMPARED_FIELDS = {
    "event_name": "Event name",
    "aggregation": "Aggregation",
    "field": "Aggregation field",
    "field_aliases": "Other names of the field",
    "filters": "Filters",
    "excluded": "Excluded values",
    "accept_numeric_strings": "Accepts numeric strings",
    "state": "Status",
    "counts_from": "Counts from",
}


def stored_problem(context: Context, feature: Feature | None, *reasons: Reason) -> Problem | None:
    """Return the open problem of the feature, or of the event as a whole, that has one of these reasons."""
    problems = context.open_problems(feature.pk if feature else None)
    return next((problem for problem in problems if problem.reason in reasons), None)


def configuration_changes(problem: Problem | None, feature: Feature) -> tuple[Comparison, ...]:
    """Compare the configuration that the problem was judged by with today's, if they differ."""
    if problem is None:
        return ()
    before = problem.judged_by
    rows = tuple(
        (label, _plain(before[name]), _plain(getattr(feature, name)))
        for name, label in COMPARED_FIELDS.items()
        if name in before and _plain(before[name]) != _plain(getattr(feature, name))
    )
    return (Comparison(f"When processed, {wording.minute(problem.judged_at)}", "Today", rows),) if rows else ()


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", {}, []):
        return "none"
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def replay_fix(context: Context) -> Fix:
    """Offer to process the event again with today's configuration."""
    return Fix("Replay the event", action="replay", parameters={"ledger_id": str(context.subject.pk or "")})
