"""The parameters of fixes in the API: public ids instead of primary keys, and the API's names for values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import Model

from catalog.api.names import PERIODS
from catalog.models import Feature, Plan
from config.api.errors import InvalidRequest, invalid
from config.api.views import get_or_404
from customers.models import Customer, Subscription
from events.fixing.base import Action
from events.fixing.registry import make_action
from events.models import Event, Scope

ROWS: dict[str, tuple[type[Model], str]] = {
    "customer_id": (Customer, "public_id"),
    "event_id": (Event, "event_id"),
    "feature_id": (Feature, "public_id"),
    "subscription_id": (Subscription, "public_id"),
}
SCOPES = {"catalog": Scope.CATALOG_WRITE, "customers": Scope.CUSTOMERS_WRITE, "events": Scope.BILLING_WRITE}


class OfferedFix(Protocol):
    """A fix that a cause or a step of a diagnosis offers."""

    @property
    def label(self) -> str: ...

    @property
    def action(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class FixParameters:
    """The parameters that a fix takes: the API's names, and the fix's own names for them."""

    required: Mapping[str, str]
    optional: Mapping[str, str]


def _take(required: Mapping[str, str], **optional: str) -> FixParameters:
    return FixParameters(required, optional)


PARAMETERS: dict[str, FixParameters] = {
    "accept_numeric_strings": _take({"feature_id": "feature"}),
    "activate_customer": _take({}, customer_id="customer", external_id="external_id"),
    "activate_feature": _take({"feature_id": "feature"}),
    "add_to_plan": _take(
        {"subscription_id": "subscription", "feature_id": "feature", "at": "at", "unit_amount": "unit_amount"},
        since="since",
    ),
    "alias_property": _take({"feature_id": "feature", "property": "property"}),
    "count_earlier": _take({"feature_id": "feature", "since": "since"}),
    "create_customer": _take({"external_id": "external_id"}, name="name", timezone="timezone", currency="currency"),
    "create_subscription": _take(
        {"customer_id": "customer", "plan_id": "plan", "currency": "currency", "starts_at": "starts_at"},
        at="at",
        billing_period="billing_period",
        billing_period_count="billing_period_count",
    ),
    "extend_filter": _take({"feature_id": "feature", "property": "property", "value": "value"}),
    "map_customer": _take({"alias": "alias"}, customer_id="customer", external_id="meant"),
    "map_event_name": _take({"alias": "alias", "event_name": "event_name"}),
    "replay": _take({"event_id": "ledger_id"}),
    "replay_cause": _take(
        {"reason": "cause"}, external_customer_id="external_customer_id", event_name="event_name", feature_id="feature"
    ),
}


def describe_parameters() -> str:
    """Describe every fix and its parameters, for the documentation of the operations."""
    rows = []
    for action, names in PARAMETERS.items():
        optional = f", optionally {', '.join(f'`{name}`' for name in names.optional)}" if names.optional else ""
        required = ", ".join(f"`{name}`" for name in names.required)
        rows.append(f"- `{action}`: {required}{optional}".replace(": , optionally", ": one of"))
    return "\n".join(rows)


def read_action(name: str, parameters: Mapping[str, str]) -> Action:
    """Create a fix from the API's parameters. 400 names missing and unknown parameters; 404 unknown ids."""
    names = PARAMETERS[name]
    known = {**names.required, **names.optional}
    missing = [f"parameters.{key}" for key in names.required if not parameters.get(key, "").strip()]
    unknown = [f"parameters.{key}" for key in parameters if key not in known]
    if missing or unknown:
        raise _wrong(missing, unknown, known)
    values = {known[key]: _own_value(key, value) for key, value in parameters.items() if value.strip()}
    if name == "create_subscription":
        values["plan"] = _plan_and_terms(values)
    if name == "activate_customer" and not values:
        raise invalid({"parameters": ["Specify the customer by customer_id or external_id."]})
    return make_action(name, values)


def _wrong(missing: Iterable[str], unknown: Iterable[str], known: Iterable[str]) -> InvalidRequest:
    reasons = {name: ["This field is required."] for name in missing}
    reasons |= {name: [f"This fix takes {', '.join(sorted(known))}."] for name in unknown}
    return invalid(reasons)


def _own_value(name: str, value: str) -> str:
    if name not in ROWS:
        return value
    model, column = ROWS[name]
    row: Any = get_or_404(model._default_manager.all(), str(model._meta.verbose_name), **{column: value})
    return str(row.pk)


def _plan_and_terms(values: dict[str, str]) -> str:
    """Return the plan and its terms as `create_subscription` reads them, and remove the terms from the values."""
    plan = get_or_404(Plan.objects.all(), "plan", public_id=values["plan"])
    period = values.pop("billing_period", "MONTHLY")
    if period not in PERIODS:
        raise invalid({"parameters.billing_period": [f"Choose one of {', '.join(PERIODS)}."]})
    count, currency = values.pop("billing_period_count", "1"), values.pop("currency").upper()
    return f"{plan.pk}|{currency}|{PERIODS[period].value}|{count}"


def public_parameters(
    action: str, parameters: Mapping[str, str], known_ids: Mapping[tuple[str, str], str] | None = None
) -> dict[str, str]:
    """Return a fix's parameters as the API names them, without those that the API doesn't need.

    `known_ids` are public ids by (name in the API, primary key). Other ids take a query each.
    """
    names = {**PARAMETERS[action].required, **PARAMETERS[action].optional}
    return {
        name: (known_ids or {}).get((name, value)) or _public_value(name, value)
        for name, own in names.items()
        if (value := parameters.get(own, ""))
    }


def _public_value(name: str, value: str) -> str:
    if name not in ROWS:
        return value
    model, column = ROWS[name]
    return str(model._default_manager.filter(pk=value).values_list(column, flat=True).first() or "")


def missing_parameters(action: str, parameters: Mapping[str, str]) -> list[str]:
    """List the required parameters that an offered fix leaves to the client."""
    missing = [name for name in PARAMETERS[action].required if not parameters.get(name)]
    if action == "map_customer" and not parameters.get("customer_id"):
        missing.append("external_id")
    return missing


def list_fixes(
    fixes: Iterable[OfferedFix], known_ids: Mapping[tuple[str, str], str] | None = None
) -> list[dict[str, Any]]:
    """Describe offered fixes as the API shows them, without links to admin pages."""
    return [
        {
            "label": fix.label,
            "action": fix.action,
            "parameters": (parameters := public_parameters(fix.action, fix.parameters, known_ids)),
            "missing": missing_parameters(fix.action, parameters),
        }
        for fix in fixes
        if fix.action
    ]


def scopes_of(action: type[Action]) -> list[str]:
    """List the scopes that a key needs to preview or apply a fix: those of the changes that the fix makes."""
    return sorted({SCOPES[permission.partition(".")[0]] for permission in action.permissions})
