"""The demo: what its customers send ends where it says, and its printed invoice is right on any day of the year."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import batched
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command

from billing.demo.access import open_access
from billing.demo.catalog import make_catalog
from billing.demo.clients import CLIENTS, PRINTED, make_customers, make_subscriptions, story_told
from billing.demo.conditions import make_conditions
from billing.demo.mistakes import mistakes, repeats
from billing.demo.running import invoice_to_print
from billing.demo.story import Story
from billing.demo.usage import WireEvent, all_usage, moment_of, usage_of
from billing.explanation.proof import prove
from billing.explanation.text import format_invoice
from billing.models import Invoice
from billing.runs.billing_run import run_to_end
from config.server.problems import StartupProblem
from customers.models import Customer, Subscription
from events.access.keys import authenticate, revoke
from events.ingest.accept import accept
from events.ingest.payload import parse_batch
from events.ledger.processing import process_batch
from events.models import ApiKey, Problem
from tests.factories import make_user

D = Decimal
FIRST_OF_MONTH = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
LAST_OF_MONTH = datetime(2026, 7, 31, 22, 30, tzinfo=UTC)  # in Berlin it is August already
LEAP_YEAR = datetime(2028, 3, 15, 12, tzinfo=UTC)
encode = msgspec.json.Encoder(decimal_format="number").encode


def send(events: Sequence[WireEvent], now: datetime) -> None:
    """Take events in and count them, as the API and the worker do."""
    for part in batched(events, 1_000):
        accept(parse_batch(encode({"events": part}), received_at=now), api_key_id=None, received_at=now)
    while process_batch().events:
        pass


def make_company(now: datetime) -> Story:
    """Make the catalog and customers of a demo that is first run at `now`."""
    owner, story = make_user(), story_told(now)
    make_catalog(story, by=owner)
    make_customers(story, by=owner)
    make_conditions(story, now=now, by=owner)
    return story


def cents(exact: Decimal) -> Decimal:
    return exact.quantize(D("0.01"), ROUND_HALF_UP)


def expected_amounts(events: Sequence[WireEvent], first: datetime, last: datetime) -> list[Decimal]:
    """Work out the printed invoice's lines from the events and the Scale plan's EUR prices, in the plainest way."""
    before = [event for event in events if moment_of(event) < last]
    period = [event for event in before if moment_of(event) >= first]

    def values(of: Sequence[WireEvent], name: str, field: str, *models: str) -> list[Decimal]:
        named = [event["properties"] for event in of if event["event_name"] == name]
        return [D(str(each[field])) for each in named if not models or each["model"] in models]

    calls = sum(event["event_name"] == "api.calls" for event in period)
    mini = max(sum(values(period, "model.usage", "tokens", "lark-mini")) - 2_000_000, D(0))
    pro = sum(values(period, "model.usage", "tokens", "lark-pro", "lark-pro-preview"))
    stored = max(sum(values(before, "storage.usage", "gb")) - 10, D(0))
    users = len({event["properties"]["user_id"] for event in period if event["event_name"] == "active.users"})
    return [
        D(185),
        math.ceil(max(calls - 2_000, 0) / 1_000) * D("3.25"),
        cents(min(mini, D(5_000_000)) * D("0.00000075") + max(mini - 5_000_000, D(0)) * D("0.00000055")),
        cents(
            min(pro, D(1_000_000)) * D("0.0000095")
            + min(max(pro - 1_000_000, D(0)), D(4_000_000)) * D("0.0000075")
            + max(pro - 5_000_000, D(0)) * D("0.0000056")
        ),
        cents(stored * D("0.23")),
        max(users - 10, 0) * D("2.80"),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("now", "first", "last"),
    [
        (FIRST_OF_MONTH, "2026-02-01", "2026-03-01"),
        (LAST_OF_MONTH, "2026-07-01", "2026-08-01"),
        (LEAP_YEAR, "2028-02-01", "2028-03-01"),
    ],
    ids=["first of a month", "last of a month", "leap year"],
)
def test_the_printed_invoice_equals_a_recomputation_on_any_day(now: datetime, first: str, last: str) -> None:
    story = make_company(now)
    used = list(usage_of(PRINTED, story, until=now))
    send(used, now)
    send(repeats(used), now)
    make_subscriptions(story, make_catalog(story, by=make_user()), by=make_user())
    run_to_end(as_of=now)

    invoice = invoice_to_print(now=now)

    assert invoice is not None
    lines = list(invoice.lines.all())
    edges = [datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")) for day in (first, last)]
    assert [invoice.period_start, invoice.period_end] == edges
    amounts = expected_amounts(used, *edges)
    assert all(amounts[1:4])
    charged = [amount for amount in amounts if amount]
    vat = cents(sum(amounts) * D("0.19"))
    assert [line.amount for line in lines] == [*charged, vat]
    assert (invoice.subtotal, invoice.tax_total, invoice.total) == (sum(amounts), vat, sum(amounts) + vat)
    assert all(prove(line).agrees for line in lines if line.kind == "usage")
    assert "Brightwater Analytics GmbH" in format_invoice(invoice)


@pytest.mark.django_db
def test_every_customer_is_billed_in_its_own_currency_and_rhythm() -> None:
    story = make_company(LEAP_YEAR)
    plans = make_catalog(story, by=make_user())
    subscriptions = make_subscriptions(story, plans, by=make_user())

    run = run_to_end(as_of=LEAP_YEAR)

    assert run is not None
    assert run.failed == 0
    assert not Invoice.objects.filter(subscription__key="fjord-health-1").exists()  # it is in trial
    assert sorted(run.amounts) == ["EUR", "JPY", "USD"]
    assert len(subscriptions) == len([client for client in CLIENTS if client.plan]) == 12
    # Tinta cancelled on 21 February: 20 of the leap year's 29 days of a fee of €27.
    assert Invoice.objects.get(subscription__key="tinta-estudio-1").total == D("18.62")


@pytest.mark.django_db
def test_every_mistake_ends_as_the_problem_it_is_known_by() -> None:
    story = make_company(LEAP_YEAR)
    reasons = []
    for mistake in mistakes(story):
        send(mistake.events, LEAP_YEAR)
        ids = [event["event_id"] for event in mistake.events]
        found = Problem.objects.filter(event__event_id__in=ids)
        assert found.values("event").distinct().count() == (0 if mistake.counts else len(ids)), mistake.says
        reasons.append(sorted(set(found.values_list("reason", flat=True))))
    assert reasons == [
        ["unknown_event_name"],
        ["unknown_customer"],
        ["not_a_number"],
        ["aggregation_field_missing"],
        ["aggregation_field_missing"],
        ["filter_mismatch"],
        ["feature_archived"],
        [],
        [],
    ]


def test_a_later_day_sends_the_same_events_and_more() -> None:
    story = Story(LEAP_YEAR.date())
    earlier = all_usage(story, until=datetime(2028, 2, 10, tzinfo=UTC))
    later = all_usage(story, until=datetime(2028, 2, 12, tzinfo=UTC))
    assert later[: len(earlier)] == earlier
    assert len(later) > len(earlier) > 5_000
    assert len({event["event_id"] for event in later}) == len(later)


@pytest.mark.parametrize("now", [FIRST_OF_MONTH, LAST_OF_MONTH], ids=["first of a month", "last of a month"])
def test_two_months_are_plausible_in_size(now: datetime) -> None:
    assert 35_000 < len(all_usage(Story(now.date()), until=now)) < 110_000


@pytest.mark.django_db
def test_making_the_company_twice_makes_it_once() -> None:
    for _ in range(2):
        story = make_company(LEAP_YEAR)
        make_subscriptions(story, make_catalog(story, by=make_user()), by=make_user())
    assert Customer.objects.count() == len(CLIENTS)
    assert Subscription.objects.count() == 12
    assert story_told(datetime(2028, 5, 1, tzinfo=UTC)) == story


@pytest.mark.django_db
def test_logins_and_key_outlast_a_run_and_are_made_anew_when_they_no_longer_fit(tmp_path: Path) -> None:
    access, owner = open_access(tmp_path, now=LEAP_YEAR)
    assert open_access(tmp_path, now=LEAP_YEAR) == (access, owner)
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600

    revoke(ApiKey.objects.get(), now=LEAP_YEAR)
    owner.set_password("changed by its owner")
    owner.save()
    again, _ = open_access(tmp_path, now=LEAP_YEAR)

    assert again.owner_password == access.owner_password
    assert User.objects.get(username="owner").check_password(access.owner_password)
    assert again.api_key != access.api_key
    assert authenticate(again.api_key, now=LEAP_YEAR).name == "Demo"


@pytest.mark.django_db
def test_the_owner_may_change_and_the_viewer_only_look(tmp_path: Path) -> None:
    open_access(tmp_path, now=LEAP_YEAR)
    owner, viewer = User.objects.get(username="owner"), User.objects.get(username="viewer")
    assert owner.has_perm("billing.change_invoice")
    assert viewer.has_perm("billing.view_invoice")
    assert not any(".view_" not in permission for permission in viewer.get_all_permissions())


def test_a_deployment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a deployment's")
    with pytest.raises(StartupProblem, match="SECRET_KEY is set"):
        call_command("demo", "--once")


@pytest.mark.slow
def test_the_command_prints_an_invoice_and_a_second_run_adds_nothing_twice(
    tmp_path: Path, fresh_database_url: str
) -> None:
    static = str(settings.DATA_DIR / "served-static")
    env = {**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": fresh_database_url, "STATIC_ROOT": static}

    def run() -> tuple[str, list[int]]:
        command = [sys.executable, "manage.py", "demo", "--once"]
        finished = subprocess.run(
            command, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, timeout=400, check=False
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        with psycopg.connect(fresh_database_url) as connection:
            counts = [
                connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                for table in ("billing_invoice", "events_duplicateevent", "events_problem", "customers_subscription")
            ]
        return finished.stdout, [count[0] for count in counts if count]

    first, made = run()
    second, found = run()

    assert made == found
    assert "Invoice INV-000002" in first
    assert invoice_in(first) == invoice_in(second)
    assert re.search(r"curl http://127\.0\.0\.1:\d+/v1/events", first)
    assert "24 × the wrong case: Model.Usage" in second
    sent = re.search(r"([\d,]+) events sent", second)
    assert sent
    assert int(sent[1].replace(",", "")) < 1_000  # what happened since


def invoice_in(output: str) -> str:
    """Cut the printed invoice out of what the demo said."""
    edge = "═" * 96
    return output[output.index(edge) : output.rindex(edge)]
