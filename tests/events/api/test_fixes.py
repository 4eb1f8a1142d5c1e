"""Fixes through the API: offered with a cause, previewed without a change, applied with the events replayed."""

from decimal import Decimal

import pytest
from auditlog.models import LogEntry

from customers.models import Customer
from events.api.fix_parameters import PARAMETERS
from events.fixing.registry import ACTIONS
from events.ledger.processing import process_batch
from events.models import Event, EventState
from tests.api import Api
from tests.factories import make_customer, make_feature, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def tokens():
    return make_feature(name="Tokens", event_name="tokens.used", field="tokens")


@pytest.fixture
def acme(tokens) -> Customer:
    """Acme pays $0.02 a token."""
    customer = make_customer(external_id="acme", name="Acme")
    make_subscription(customer=customer, plan=make_version({"feature": tokens, "unit_amount": Decimal("0.02")}))
    return customer


def send(api: Api, customer: str = "acme", name: str = "tokens.used", event_id: str = "e-1", tokens: object = 100):
    event = {"event_name": name, "external_customer_id": customer, "event_id": event_id}
    api.post("events", event | {"properties": {"tokens": tokens}}, status=202)
    process_batch()


def test_a_cause_offers_its_fixes_with_the_parameters_to_send(api, acme, tokens):
    send(api, name="Tokens.used")
    send(api, event_id="e-2", tokens="100")
    send(api, event_id="e-3", customer="stranger")
    fixes = {cause["reason"]: cause["fixes"] for cause in api.get("problems/causes")["items"]}
    assert fixes["unknown_event_name"][0] == {
        "label": "Map it to tokens.used",
        "action": "map_event_name",
        "parameters": {"alias": "Tokens.used", "event_name": "tokens.used"},
        "missing": [],
    }
    assert fixes["not_a_number"][0]["parameters"] == {"feature_id": tokens.public_id}
    create, mapping = fixes["unknown_customer"]
    assert create["parameters"] == {"external_id": "stranger", "name": "stranger"}
    assert (mapping["action"], mapping["missing"]) == ("map_customer", ["external_id"])


def test_a_preview_shows_usage_and_money_and_changes_nothing(api, acme, tokens):
    send(api, tokens="100")
    fix = {"action": "accept_numeric_strings", "parameters": {"feature_id": tokens.public_id}}
    preview = api.post("fixes/preview", fix)
    assert (preview["waiting"], preview["closed"], preview["still_open"]) == (1, 1, 0)
    (change,) = preview["changes"]
    assert (change["quantity_before"], change["quantity_after"]) == ("0", "100")
    assert change["feature_id"] == tokens.public_id
    # 100 tokens at $0.02
    assert preview["amounts"] == [{"currency": "USD", "before": "0.00", "after": "2.00", "difference": "2.00"}]
    tokens.refresh_from_db()
    assert not tokens.accept_numeric_strings
    assert api.get("problems", state="open")["pagination"]["total"] == 1


def test_an_applied_fix_counts_the_events_and_is_recorded_with_its_reason_and_key(api, acme, tokens):
    send(api, tokens="100")
    fix = {"action": "accept_numeric_strings", "parameters": {"feature_id": tokens.public_id}}
    applied = api.post("fixes", fix | {"reason": "The SDK sends text"})
    assert (applied["events"], applied["closed"], applied["run_id"]) == (1, 1, None)
    assert applied["amounts"][0]["difference"] == "2.00"
    assert Event.objects.get().state == EventState.COUNTED
    entry = LogEntry.objects.filter(object_pk=str(tokens.pk)).latest("pk")
    assert entry.additional_data["reason"] == "The SDK sends text"
    assert entry.additional_data["api_key"].startswith("Test (sk_")
    assert api.post("fixes", fix)["events"] == 0


def test_an_unknown_customer_is_created_or_mapped(api, acme):
    send(api, customer="new")
    send(api, customer="ACME Ltd", event_id="e-2")
    assert api.post("fixes", {"action": "create_customer", "parameters": {"external_id": "new"}})["events"] == 1
    mapping = {"action": "map_customer", "parameters": {"alias": "ACME Ltd", "external_id": "acme"}}
    assert api.post("fixes", mapping)["changes"][0]["external_customer_id"] == "acme"
    assert Event.objects.filter(state=EventState.COUNTED).count() == 2


def test_unbilled_usage_is_fixed_with_the_subscription_that_the_diagnosis_offers(api, tokens):
    make_customer(external_id="acme", name="Acme")
    plan = make_version({"feature": tokens, "unit_amount": Decimal("0.02")}).plan
    send(api)
    steps = {step["step"]: step for step in api.get("events/lookup", id="e-1")["steps"]}
    (fix,) = steps["subscription"]["fixes"]
    assert (fix["action"], fix["missing"]) == ("create_subscription", ["plan_id", "currency", "starts_at"])
    parameters = fix["parameters"] | {
        "plan_id": plan.public_id,
        "currency": "USD",
        "starts_at": fix["parameters"]["at"],
    }
    preview = api.post("fixes/preview", {"action": "create_subscription", "parameters": parameters})
    assert preview["amounts"][0]["difference"] == "2.00"
    api.post("fixes", {"action": "create_subscription", "parameters": parameters})
    assert api.get("subscriptions")["items"][0]["plan_id"] == plan.public_id


def test_the_usage_at_risk_of_a_cause_is_the_preview_of_its_likeliest_fix(api, acme, tokens):
    send(api, tokens="100")
    at_risk = api.get(
        "problems/causes/at-risk", reason="not_a_number", event_name="tokens.used", feature_id=tokens.public_id
    )
    assert at_risk["amounts"] == {"USD": "2.00"}
    assert at_risk["units"][0]["quantity"] == "100"
    assert at_risk["unknown"] == ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "nothing"}, "action"),
        ({"action": "map_event_name", "parameters": {"alias": "a"}}, "parameters.event_name"),
        ({"action": "create_customer", "parameters": {"external_id": "a", "choose": "1"}}, "parameters.choose"),
        ({"action": "activate_customer"}, "parameters"),
    ],
)
def test_wrong_parameters_are_named(api, body, field):
    assert field in api.post("fixes/preview", body, status=400)["details"]
    assert field in api.post("fixes", body, status=400)["details"]


def test_a_fix_needs_the_scopes_of_its_changes(db):
    make_plan()
    body = {"action": "map_event_name", "parameters": {"alias": "a", "event_name": "b"}}
    refusal = Api("read", "billing:write").post("fixes", body, status=403)
    assert refusal["message"] == "The API key lacks the scope catalog:write."
    Api("read", "catalog:write").post("fixes", body)


def test_every_fix_of_the_admin_has_parameters_in_the_api():
    assert PARAMETERS.keys() == ACTIONS.keys()
