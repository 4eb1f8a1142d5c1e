"""What the problems of a cause are worth: units and money, as the fix's preview has them. Amounts by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache

from catalog.features import archive_feature
from events.fixing.causes import TotalAtRisk, total_at_risk
from events.models import UsageBucket
from tests.admin_pages import count_queries, url
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_kept():
    cache.clear()


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
    return client.get(row["at_risk_url"] + "&row=1").content.decode()


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


def test_the_number_leads_to_its_parts(tokens, staff_client):
    send("Model.Usage", tokens=100)
    process()
    assert "/admin/events/debugger/fix/?action=map_event_name&amp;alias=Model.Usage" in shown(staff_client)


def test_strings_are_worth_what_they_spell(tokens, staff_client):
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


def test_a_near_miss_of_a_customer_is_theirs_and_is_mapped_first(tokens, staff_client):
    send("model.usage", customer="Acme", tokens=60)
    process()
    page = shown(staff_client)
    assert "$1.00" in page
    assert page.index("Map it to Acme") < page.index("Create the customer")
    assert 'id="fixes-1" hx-swap-oob="true"' in page


def test_a_stranger_has_units_and_no_money(tokens, staff_client):
    send("model.usage", customer="somebody else", tokens=60)
    process()
    page = shown(staff_client)
    assert "60</a> tokens · Tokens" in page
    assert "no subscription bills it" in page


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"tokens": "sixty"}, "the text is no number"),
        ({"credits": 1}, "the value is missing"),
        ({"tokens": Decimal("1e400")}, "not known"),
    ],
)
def test_what_nobody_can_add_up_is_not_known(tokens, staff_client, event, said):
    send("model.usage", **event)
    process()
    assert said in shown(staff_client)


def test_a_name_that_none_has_is_not_known(tokens, staff_client):
    send("something.else", tokens=1)
    process()
    assert "no feature adds it up" in shown(staff_client)


def test_of_many_the_first_are_rated_and_the_number_has_a_plus(tokens, staff_client, monkeypatch):
    monkeypatch.setattr("events.fixing.at_risk.MOST_EVENTS", 2)
    for hour in range(3):
        send("Model.Usage", at=NOON + timedelta(hours=hour), tokens=100)
    process()
    page = shown(staff_client)
    # 200 - 10 free = 190 × $0.02
    assert "$3.80+" in page
    assert "200+</a> tokens" in page


def test_dismissing_says_what_is_given_up(tokens, staff_client):
    send("Model.Usage", tokens=120)
    process()
    row = staff_client.get(url("events_problem_causes")).context_data["causes"][0]
    # 120 - 10 free = 110 × $0.02
    assert (
        "Mended, they would come to $2.20 (120 tokens of Tokens)."
        in staff_client.get(row["dismiss_url"]).content.decode()
    )


def test_an_address_that_names_no_cause_is_refused(staff_client):
    assert staff_client.get(url("events_problem_at_risk") + "?cause=nonsense").status_code == 403


def test_causes_cost_the_same_queries_however_many(tokens, staff_client):
    send("wrong.0", tokens=1)
    send("model.usage", customer="stranger-0", tokens=1)
    process()
    few = count_queries(staff_client, url("events_problem_causes"))
    for number in range(1, 15):
        send(f"wrong.{number}", tokens=1)
        send("model.usage", customer=f"stranger-{number}", tokens=1)
    process()
    assert count_queries(staff_client, url("events_problem_causes")) == few


def test_the_largest_causes_add_up_each_mended_by_itself(tokens, staff_client, monkeypatch):
    send("Model.Usage", tokens=100)
    send("model.usage", tokens="60")
    send("something.else", tokens=1)
    process()
    # (100 - 10 free) × $0.02 + (60 - 10 free) × $0.02
    assert total_at_risk(now=NOON) == TotalAtRisk({"USD": Decimal("2.80")}, is_partial=False, unknown=1)
    assert not UsageBucket.objects.exists()
    monkeypatch.setattr("events.fixing.causes.MOST_CAUSES", 2)
    assert total_at_risk(now=NOON).is_partial


def test_what_a_page_worked_out_is_not_worked_out_again(tokens, staff_client, monkeypatch):
    send("Model.Usage", tokens=100)
    process()
    assert "$1.80" in shown(staff_client)
    monkeypatch.setattr("events.fixing.at_risk.preview", None)
    assert total_at_risk(now=NOON).amounts == {"USD": Decimal("1.80")}


def test_without_problems_nothing_is_at_risk(db):
    assert total_at_risk(now=NOON) == TotalAtRisk({}, is_partial=False, unknown=0)
