"""What the addresses need in their query to be more than a refusal."""

CAUSE = {"cause": "unknown_event_name", "event_name": "Model.Usage"}
FIX = {"action": "map_event_name", "alias": "Model.Usage", "event_name": "model.usage"}
QUERIES: dict[str, dict[str, str]] = {
    "autocomplete": {"app_label": "billing", "model_name": "invoice", "field_name": "customer", "term": "a"},
    "events_debugger_fix": FIX,
    "events_debugger_fix_effect": FIX,
    "events_duplicateevent_dismiss_cause": {"key": "0", "difference": "properties"},
    "events_problem_at_risk": CAUSE,
    "events_problem_dismiss_cause": CAUSE,
    "search": {"s": "acme"},
}


def query_of(name: str) -> dict[str, str]:
    return QUERIES.get(name, {})
