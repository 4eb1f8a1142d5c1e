"""The demo's events become the expected problems, and its printed invoice is right on any day of the year."""

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
from django.utils import timezone

from billing.demo.access import open_access
from billing.demo.catalog import make_catalog
from billing.demo.conditions import make_conditions
from billing.demo.customers import CUSTOMERS, PRINTED, load_timeline, make_customers, make_subscriptions
from billing.demo.mistakes import list_mistakes, list_repeats
from billing.demo.timeline import Timeline
from billing.demo.usage import DemoEvent, iterate_usage, list_usage, parse_time
from billing.demo.worker import find_printed_invoice
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


def send(events: Sequence[DemoEvent], now: datetime) -> None:
    """Accept events and count them, as the API and the worker do."""
    for batch in batched(events, 1_000):
        accept(parse_batch(encode({"events": batch}), received_at=now), api_key_id=None, received_at=now)
    while process_batch().events:
        pass


def make_company(now: datetime) -> Timeline:
    """Create the catalog and customers of a demo that is first run at `now`."""
    owner, timeline = make_user(), load_timeline(now)
    make_catalog(timeline, by=owner)
    make_customers(timeline, by=owner)
    make_conditions(timeline, now=now, by=owner)
    return timeline


def cents(exact: Decimal) -> Decimal:
    return exact.quantize(D("0.01"), ROUND_HALF_UP)


def expected_amounts(events: Sequence[DemoEvent], first: datetime, last: datetime) -> list[Decimal]:
    """Calculate the printed invoice's lines from the events and the Scale plan's EUR prices, without product code."""
    before = [event for event in events if parse_time(event) < last]
    period = [event for event in before if parse_time(event) >= first]

    def values(events: Sequence[DemoEvent], name: str, field: str, *models: str) -> list[Decimal]:
        properties = [event["properties"] for event in events if event["event_name"] == name]
        return [D(str(values[field])) for values in properties if not models or values["model"] in models]

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
def test_the_printed_invoice_equals_an_independent_calculation_on_any_day(now: datetime, first: str, last: str) -> None:
    timeline = make_company(now)
    events = list(iterate_usage(PRINTED, timeline, until=now))
    send(events, now)
    send(list_repeats(events), now)
    make_subscriptions(timeline, make_catalog(timeline, by=make_user()), by=make_user())
    run_to_end(as_of=now)

    invoice = find_printed_invoice(now=now)

    assert invoice is not None
    lines = list(invoice.lines.all())
    edges = [datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")) for day in (first, last)]
    assert [invoice.period_start, invoice.period_end] == edges
    amounts = expected_amounts(events, *edges)
    assert all(amounts[1:4])
    charged = [amount for amount in amounts if amount]
    vat = cents(sum(amounts) * D("0.19"))
    assert [line.amount for line in lines] == [*charged, vat]
    assert (invoice.subtotal, invoice.tax_total, invoice.total) == (sum(amounts), vat, sum(amounts) + vat)
    assert all(prove(line).agrees for line in lines if line.kind == "usage")
    assert "Brightwater Analytics GmbH" in format_invoice(invoice, now=timezone.now())


@pytest.mark.django_db
def test_every_customer_is_billed_by_its_currency_and_period() -> None:
    timeline = make_company(LEAP_YEAR)
    plans = make_catalog(timeline, by=make_user())
    subscriptions = make_subscriptions(timeline, plans, by=make_user())

    run = run_to_end(as_of=LEAP_YEAR)

    assert run is not None
    assert run.failed == 0
    assert not Invoice.objects.filter(subscription__key="fjord-health-1").exists()  # in trial
    assert sorted(run.amounts) == ["EUR", "JPY", "USD"]
    assert len(subscriptions) == len([customer for customer in CUSTOMERS if customer.plan]) == 12
    # Tinta canceled on 21 February: 20 of the leap year's 29 days of a fee of €27.
    assert Invoice.objects.get(subscription__key="tinta-estudio-1").total == D("18.62")


@pytest.mark.django_db
def test_every_mistake_becomes_a_problem_with_the_expected_reason() -> None:
    timeline = make_company(LEAP_YEAR)
    reasons = []
    for mistake in list_mistakes(timeline):
        send(mistake.events, LEAP_YEAR)
        ids = [event["event_id"] for event in mistake.events]
        problems = Problem.objects.filter(event__event_id__in=ids)
        assert problems.values("event").distinct().count() == (0 if mistake.is_counted else len(ids)), (
            mistake.description
        )
        reasons.append(sorted(set(problems.values_list("reason", flat=True))))
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
    timeline = Timeline(LEAP_YEAR.date())
    earlier = list_usage(timeline, until=datetime(2028, 2, 10, tzinfo=UTC))
    later = list_usage(timeline, until=datetime(2028, 2, 12, tzinfo=UTC))
    assert later[: len(earlier)] == earlier
    assert len(later) > len(earlier) > 5_000
    assert len({event["event_id"] for event in later}) == len(later)


@pytest.mark.parametrize("now", [FIRST_OF_MONTH, LAST_OF_MONTH], ids=["first of a month", "last of a month"])
def test_the_number_of_events_is_plausible(now: datetime) -> None:
    assert 35_000 < len(list_usage(Timeline(now.date()), until=now)) < 110_000


@pytest.mark.django_db
def test_creating_the_company_twice_creates_it_once() -> None:
    for _ in range(2):
        timeline = make_company(LEAP_YEAR)
        make_subscriptions(timeline, make_catalog(timeline, by=make_user()), by=make_user())
    assert Customer.objects.count() == len(CUSTOMERS)
    assert Subscription.objects.count() == 12
    assert load_timeline(datetime(2028, 5, 1, tzinfo=UTC)) == timeline


@pytest.mark.django_db
def test_logins_and_key_are_kept_between_runs_and_created_again_when_invalid(tmp_path: Path) -> None:
    access, owner = open_access(tmp_path, now=LEAP_YEAR)
    assert open_access(tmp_path, now=LEAP_YEAR) == (access, owner)
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600

    revoke(ApiKey.objects.get(), now=LEAP_YEAR)
    owner.set_password("changed by its owner")
    owner.save()
    new_access, _ = open_access(tmp_path, now=LEAP_YEAR)

    assert new_access.owner_password == access.owner_password
    assert User.objects.get(username="owner").check_password(access.owner_password)
    assert new_access.api_key != access.api_key
    assert authenticate(new_access.api_key, now=LEAP_YEAR).name == "Demo"


@pytest.mark.django_db
def test_the_owner_can_change_data_and_the_viewer_can_only_view_it(tmp_path: Path) -> None:
    open_access(tmp_path, now=LEAP_YEAR)
    owner, viewer = User.objects.get(username="owner"), User.objects.get(username="viewer")
    assert owner.has_perm("billing.change_invoice")
    assert viewer.has_perm("billing.view_invoice")
    assert not any(".view_" not in permission for permission in viewer.get_all_permissions())


def test_the_demo_refuses_to_run_in_a_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a deployment's")
    with pytest.raises(StartupProblem, match="SECRET_KEY is set"):
        call_command("demo", "--once")


@pytest.mark.slow
def test_the_command_prints_an_invoice_and_a_second_run_repeats_nothing(
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

    first_output, first_counts = run()
    second_output, second_counts = run()

    assert first_counts == second_counts
    assert re.search(r"Invoice INV-0000\d\d .*(OPEN|PAID)", first_output)
    assert cut_invoice(first_output) == cut_invoice(second_output)
    assert re.search(r"curl http://127\.0\.0\.1:\d+/v1/events", first_output)
    assert "24 × the wrong case: Model.Usage" in second_output
    sent = re.search(r"([\d,]+) events sent", second_output)
    assert sent
    assert int(sent[1].replace(",", "")) < 1_000  # the usage since the first run


def cut_invoice(output: str) -> str:
    """Cut the printed invoice out of the demo's output."""
    edge = "═" * 96
    return output[output.index(edge) : output.rindex(edge)]
