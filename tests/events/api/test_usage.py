"""Usage through the API: by meter and by event name, in exact numbers, in total or in windows."""

from typing import Any

import pytest

from events.ledger.processing import process_batch
from tests.api import Api
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
JANUARY = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-02-01T00:00:00Z", "external_customer_id": "acme"}


@pytest.fixture
def tokens(api: Api) -> Any:
    """Count 3 tokens on 1 January, 4.5 on the 2nd at 10:20, 7 on the 2nd at 10:50 UTC."""
    feature = make_feature(name="Tokens", event_name="tokens.used", field="tokens")
    make_customer(external_id="acme")
    sent = [("01T09:00", "3", "small"), ("02T10:20", "4.50", "large"), ("02T10:50", "7", "small")]
    for at, number, model in sent:
        body = (
            f'{{"event_name": "tokens.used", "external_customer_id": "acme", "timestamp": "2026-01-{at}:00Z",'
            f' "properties": {{"tokens": {number}, "model": "{model}"}}}}'
        )
        response = api.client.post("/v1/events", body, content_type="application/json")
        assert response.status_code == 202
    process_batch()
    return feature


def test_usage_of_a_meter_is_one_number(api, tokens):
    found = api.post("events/usage/meter", JANUARY | {"meter_id": tokens.public_id})
    # 3 + 4.5 + 7
    assert found == {"type": "SUM", "event_name": "tokens.used", "value": pytest.approx(14.5), "results": []}


def test_usage_is_split_into_days_of_the_time_zone(api, tokens):
    asked = JANUARY | {"end_time": "2026-01-04T00:00:00Z", "meter_id": tokens.public_id, "window_size": "DAY"}
    days = api.post("events/usage/meter", asked)["results"]
    assert [(one["window_size"][:10], float(one["value"])) for one in days] == [
        ("2026-01-01", 3.0),
        ("2026-01-02", 11.5),
        ("2026-01-03", 0.0),
    ]
    local = api.post("events/usage/meter", asked | {"timezone": "Asia/Tokyo"})["results"]
    assert local[1]["window_size"] == "2026-01-01T15:00:00Z"


def test_quarters_of_an_hour_start_on_the_clock(api, tokens):
    asked = JANUARY | {
        "start_time": "2026-01-02T10:05:00Z",
        "end_time": "2026-01-02T11:00:00Z",
        "meter_id": tokens.public_id,
        "window_size": "15MIN",
    }
    found = api.post("events/usage/meter", asked)["results"]
    assert [(one["window_size"][11:16], float(one["value"])) for one in found] == [
        ("10:05", 0.0),
        ("10:15", 4.5),
        ("10:30", 0.0),
        ("10:45", 7.0),
    ]
    too_fine = api.post("events/usage/meter", JANUARY | {"meter_id": tokens.public_id, "window_size": "MINUTE"}, 400)
    assert too_fine["code"] == "invalid_operation"


def test_months_start_on_the_anchors_day(api, tokens):
    asked = JANUARY | {
        "meter_id": tokens.public_id, "window_size": "MONTH", "billing_anchor": "2025-12-02T00:00:00Z",
    }  # fmt: skip
    found = api.post("events/usage/meter", asked)["results"]
    assert [(one["window_size"][:10], float(one["value"])) for one in found] == [
        ("2026-01-01", 3.0),
        ("2026-01-02", 11.5),
    ]


def test_usage_by_event_name_is_that_of_the_measuring_feature(api, tokens):
    asked = JANUARY | {"event_name": "tokens.used", "aggregation_type": "SUM", "property_name": "tokens"}
    assert float(api.post("events/usage", asked)["value"]) == 14.5
    assert float(api.post("events/usage", asked | {"filters": {"model": ["small"]}})["value"]) == 10.0
    refused = api.post("events/usage", asked | {"aggregation_type": "MAX"}, status=400)
    assert refused["message"] == (
        "No feature measures the max of tokens of tokens.used. Create it: earlier events count, too."
    )


def test_missing_and_unknown_fields_are_named(api, tokens):
    meter = {"meter_id": tokens.public_id}
    assert "external_customer_id" in api.post("events/usage/meter", meter, status=400)["details"]
    api.post("events/usage/meter", JANUARY | {"meter_id": "feat_none"}, status=404)
    api.post("events/usage/meter", JANUARY | meter | {"external_customer_id": "nobody"}, status=404)
    backwards = {"start_time": JANUARY["end_time"], "end_time": JANUARY["start_time"], "external_customer_id": "acme"}
    assert "end_time" in api.post("events/usage/meter", meter | backwards, status=400)["details"]
    assert "timezone" in api.post("events/usage/meter", JANUARY | meter | {"timezone": "Mars"}, status=400)["details"]
    assert "window_size" in api.post("events/usage/meter", JANUARY | meter | {"window_size": "1S"}, 400)["details"]


def test_the_window_size_does_not_change_query_count(api, tokens, django_assert_max_num_queries):
    for size in ("WEEK", "DAY"):
        with django_assert_max_num_queries(4):
            api.post("events/usage/meter", JANUARY | {"meter_id": tokens.public_id, "window_size": size})
