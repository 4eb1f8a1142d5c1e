"""The value of a cause's problems in units and amounts, as the fix's preview has it. Amounts by hand."""

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.core.cache import caches

from catalog.features import archive_feature
from events.fixing.causes import TotalAtRisk, total_at_risk
from events.models import UsageBucket
from tests.admin_pages import count_queries, url
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_kept():
    caches["figures"].clear()


@pytest.fixture
def tokens():
    """Acme pays $0.02 a token, the first 10 a month are free."""
    feature = make_feature(
        name="Tokens", event_name="model.usage", field="tokens", unit_singular="token", unit_plural="tokens"
    )
    version = make_version({"feature": feature, "unit_amount": Decimal("0.02")}, free_units={feature: 10})
    make_subscription(customer=make_customer(external_id="acme", name="Acme"), plan=version)
    return feature


def shown(client, number=0):
    """Ask for what one cause is worth, as its row does."""
    row = client.get(url("events_problem_causes")).context_data["causes"][number]
    return " ".join(client.post(row["at_risk_url"] + "&row=1").content.decode().split())


def test_a_wrong_name_is_worth_what_the_right_one_would_bill(tokens, staff_client):
    send("Model.Usage", tokens=100)
    send("Model.Usage", tokens=20)
    process()
    page = shown(staff_client)
    # 120 - 10 free = 110 × $0.02
    assert "$2.20" in page
    assert "120</a> tokens · Tokens" in page
    assert "$2.20+" not in page
    assert not UsageBucket.objects.exists()


def test_the_amount_links_to_its_parts(tokens, staff_client):
    send("Model.Usage", tokens=100)
    process()
    assert "/admin/events/debugger/fix/?action=map_event_name&amp;alias=Model.Usage" in shown(staff_client)


def test_numeric_strings_are_worth_their_value(tokens, staff_client):
    send("model.usage", tokens="60")
    process()
    # 60 - 10 free = 50 × $0.02
    assert "$1.00" in shown(staff_client)


def test_an_archived_feature_is_worth_its_usage(tokens, staff_client):
    archive_feature(tokens, now=NOON - timedelta(hours=1), by=None)
    send("model.usage", tokens=60)
    process()
    assert "$1.00" in shown(staff_client)


def test_events_before_a_features_start_are_worth_their_usage(tokens, staff_client):
    tokens.counts_from = NOON + timedelta(days=1)
    tokens.save()
    send("model.usage", tokens=60)
    process()
    assert "$1.00" in shown(staff_client)


def test_a_misspelled_customer_is_mapped_to_the_similar_one_first(tokens, staff_client):
    send("model.usage", customer="Acme", tokens=60)
    process()
    page = shown(staff_client)
    assert "$1.00" in page
    assert page.index("Map it to Acme") < page.index("Create the customer")
    assert 'id="fixes-1" hx-swap-oob="true"' in page


def test_an_unknown_customer_has_units_and_no_amount(tokens, staff_client):
    send("model.usage", customer="somebody else", tokens=60)
    process()
    page = shown(staff_client)
    assert "60</a> tokens · Tokens" in page
    assert "not in any subscription" in page


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"tokens": "sixty"}, "the text isn&#x27;t a number"),
        ({"credits": 1}, "the value is missing"),
        ({"tokens": Decimal("1e400")}, "unknown"),
    ],
)
def test_units_that_cant_be_added_up_are_unknown(tokens, staff_client, event, said):
    send("model.usage", **event)
    process()
    assert said in shown(staff_client)


def test_units_of_an_unknown_event_name_are_unknown(tokens, staff_client):
    send("something.else", tokens=1)
    process()
    assert "no feature counts it" in shown(staff_client)


def test_only_the_first_of_many_are_rated_and_the_amount_has_a_plus(tokens, staff_client, monkeypatch):
    monkeypatch.setattr("events.fixing.at_risk.MOST_EVENTS", 2)
    for hour in range(3):
        send("Model.Usage", at=NOON + timedelta(hours=hour), tokens=100)
    process()
    page = shown(staff_client)
    # 200 - 10 free = 190 × $0.02
    assert "$3.80+" in page
    assert "200+</a> tokens" in page


def test_dismissing_shows_the_amount_at_risk(tokens, staff_client):
    send("Model.Usage", tokens=120)
    process()
    row = staff_client.get(url("events_problem_causes")).context_data["causes"][0]
    # 120 - 10 free = 110 × $0.02
    dialog = staff_client.get(row["dismiss_url"]).content.decode()
    address = unescape(re.search(r'hx-post="([^"]+at-risk[^"]+)"', dialog)[1])
    sentence = "If fixed, they would amount to $2.20 (120 tokens of Tokens)."
    assert sentence in staff_client.post(address).content.decode()


def test_a_url_without_a_cause_is_refused(staff_client):
    assert staff_client.post(url("events_problem_at_risk") + "?cause=nonsense").status_code == 403


def test_any_number_of_causes_costs_the_same_queries(tokens, staff_client):
    send("wrong.0", tokens=1)
    send("model.usage", customer="stranger-0", tokens=1)
    process()
    few = count_queries(staff_client, url("events_problem_causes"))
    for number in range(1, 15):
        send(f"wrong.{number}", tokens=1)
        send("model.usage", customer=f"stranger-{number}", tokens=1)
    process()
    assert count_queries(staff_client, url("events_problem_causes")) == few


def test_the_largest_causes_add_up_each_fixed_separately(tokens, staff_client, monkeypatch):
    send("Model.Usage", tokens=100)
    send("model.usage", tokens="60")
    send("something.else", tokens=1)
    process()
    # (100 - 10 free) × $0.02 + (60 - 10 free) × $0.02
    assert total_at_risk(now=NOON) == TotalAtRisk({"USD": Decimal("2.80")}, is_partial=False, unknown=1)
    assert not UsageBucket.objects.exists()
    monkeypatch.setattr("events.fixing.causes.MOST_CAUSES", 2)
    assert total_at_risk(now=NOON).is_partial


def test_amounts_at_risk_are_cached(tokens, staff_client, monkeypatch):
    send("Model.Usage", tokens=100)
    process()
    assert "$1.80" in shown(staff_client)
    monkeypatch.setattr("events.fixing.at_risk.preview", None)
    assert total_at_risk(now=NOON).amounts == {"USD": Decimal("1.80")}


def test_without_problems_nothing_is_at_risk(db):
    assert total_at_risk(now=NOON) == TotalAtRisk({}, is_partial=False, unknown=0)
