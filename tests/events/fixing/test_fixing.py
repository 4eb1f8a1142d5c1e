"""Fixes: the preview shows the result and saves nothing; applying saves and measures it. Amounts by hand."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from catalog.agreed import PriceEdit
from catalog.features import archive_feature
from catalog.models import EventNameAlias, PlanVersion
from catalog.publishing import get_or_create_draft, publish
from catalog.selectors import prices_of
from config.refusals import Refused
from customers.accounts import archive_customer
from customers.models import Customer
from events.fixing import Field, FixRefused, PreviewBusy, apply_fix, make_action, preview
from events.fixing.base import FieldKind
from events.ledger.rebuilding import Scope, compare
from events.models import EventState, Problem, ProblemState, UsageBucket
from tests.events.senders import NOON, ledger, process, send
from tests.factories import (
    make_customer,
    make_draft,
    make_feature,
    make_fee,
    make_price,
    make_subscription,
    make_version,
)

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def acme() -> Customer:
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def tokens():
    return make_feature(name="Tokens", event_name="model.usage", field="tokens")


@pytest.fixture
def subscription(acme, tokens):
    """Acme pays $0.02 a token, the first 10 a month are free."""
    version = make_version({"feature": tokens, "unit_amount": Decimal("0.02")}, free_units={tokens: 10})
    return make_subscription(customer=acme, plan=version)


def send_three(name="model.usage", **given) -> list[str]:
    """Send 100, 20 and 3 tokens in three hours."""
    ids = [
        send(name, at=NOON + timedelta(hours=hour), tokens=tokens, **given) for hour, tokens in enumerate((100, 20, 3))
    ]
    process()
    return ids


def try_out(name: str, /, **given: object):
    return preview(make_action(name, {key: str(value) for key, value in given.items()}), now=LATER, by=None)


def fix(name: str, /, **given: object):
    return apply_fix(make_action(name, {key: str(value) for key, value in given.items()}), now=LATER, by=None)


def usage_of(changes) -> list[tuple[Decimal, Decimal]]:
    return [(change.before, change.after) for change in changes]


def all_counted(ids: list[str]) -> bool:
    return {ledger(each).state for each in ids} == {EventState.COUNTED}


def nothing_open() -> bool:
    return not Problem.objects.filter(state=ProblemState.OPEN).exists() and not list(compare(Scope()))


def test_mapping_a_name_is_previewed_in_events_units_and_money(subscription, tokens):
    ids = send_three("Model.Usage")
    found = try_out("map_event_name", alias="Model.Usage", event_name="model.usage")
    assert (found.events, found.closed, found.still_open, found.is_partial) == (3, 3, 0, False)
    assert usage_of(found.changes) == [(0, 123)]
    # 123 tokens - 10 free = 113 × $0.02
    assert found.money == {"USD": Decimal("2.26")}
    assert not EventNameAlias.objects.exists()
    assert not UsageBucket.objects.exists()
    assert {ledger(each).state for each in ids} == {EventState.PROBLEM}


def test_mapping_a_name_counts_its_events_and_shows_the_result(subscription, tokens):
    ids = send_three("Model.Usage")
    done = fix("map_event_name", alias="Model.Usage", event_name="model.usage")
    assert (done.replayed.events, done.replayed.closed, done.replayed.still_open) == (3, 3, 0)
    assert usage_of(done.changes) == [(0, 123)]
    assert done.money == {"USD": Decimal("2.26")}
    assert all_counted(ids)
    assert nothing_open()


def test_a_preview_counts_only_what_the_free_tier_leaves(subscription, tokens):
    send("model.usage", tokens=4)
    send("Model.Usage", tokens=5)
    process()
    assert try_out("map_event_name", alias="Model.Usage", event_name="model.usage").money == {}
    send("Model.Usage", tokens=2)
    process()
    # 4 + 5 + 2 = 11 tokens, 1 above the free ones
    assert try_out("map_event_name", alias="Model.Usage", event_name="model.usage").money == {"USD": Decimal("0.02")}


def test_creating_the_customer_counts_its_events(tokens):
    ids = send_three(customer="newcomer")
    found = try_out("create_customer", external_id="newcomer", name="Newcomer")
    assert (found.events, found.closed, found.money) == (3, 3, {})
    assert not Customer.objects.exists()
    done = fix("create_customer", external_id="newcomer", name="Newcomer", timezone="Europe/Berlin", currency="eur")
    assert usage_of(done.changes) == [(0, 123)]
    customer = Customer.objects.get()
    assert (customer.name, customer.timezone, customer.currency) == ("Newcomer", "Europe/Berlin", "EUR")
    assert all_counted(ids)
    assert nothing_open()


def test_a_customer_with_a_wrong_time_zone_is_refused_and_nothing_changes(tokens):
    send_three(customer="newcomer")
    with pytest.raises(ValidationError):
        fix("create_customer", external_id="newcomer", timezone="Mars/Olympus")
    assert not Customer.objects.exists()


def test_mapping_a_customer_counts_its_events_for_the_other(subscription, acme, tokens):
    ids = send_three(customer="ACME")
    assert try_out("map_customer", alias="ACME", customer=acme.pk).money == {"USD": Decimal("2.26")}
    fix("map_customer", alias="ACME", customer=acme.pk)
    assert {ledger(each).customer for each in ids} == {acme}
    assert nothing_open()


def test_activating_a_feature_counts_waiting_events(subscription, tokens):
    archive_feature(tokens, now=NOON - DAY, by=None)
    ids = send_three()
    assert try_out("activate_feature", feature=tokens.pk).money == {"USD": Decimal("2.26")}
    fix("activate_feature", feature=tokens.pk)
    assert all_counted(ids)
    assert nothing_open()


def test_activating_a_customer_counts_waiting_events(acme, tokens):
    archive_customer(acme, now=NOON - DAY, by=None)
    ids = send_three()
    assert try_out("activate_customer", customer=acme.pk).closed == 3
    fix("activate_customer", customer=acme.pk)
    assert all_counted(ids)
    assert nothing_open()


def test_accepting_numeric_strings_leaves_other_text(subscription, tokens):
    good = send("model.usage", tokens="60")
    bad = send("model.usage", tokens="sixty")
    process()
    found = try_out("accept_numeric_strings", feature=tokens.pk)
    # 60 - 10 free = 50 × $0.02
    assert (found.events, found.closed, found.still_open, found.money) == (2, 1, 1, {"USD": Decimal("1.00")})
    done = fix("accept_numeric_strings", feature=tokens.pk)
    assert done.replayed.still_open == 1
    assert (ledger(good).state, ledger(bad).state) == (EventState.COUNTED, EventState.PROBLEM)


def test_replaying_an_event_whose_cause_was_fixed_counts_it(subscription, tokens):
    event_id = send("Model.Usage", tokens=60)
    process()
    EventNameAlias.objects.create(alias="Model.Usage", event_name="model.usage")
    done = fix("replay", ledger_id=ledger(event_id).pk)
    assert (done.replayed.closed, done.money) == (1, {"USD": Decimal("1.00")})
    assert nothing_open()


def test_adding_a_feature_to_the_plan_prices_the_usage_of_the_events_period(acme, tokens):
    draft = make_draft()
    make_fee(version=draft)
    subscription = make_subscription(customer=acme, plan=draft.plan)
    send_three()
    given = {"subscription": subscription.pk, "feature": tokens.pk, "at": NOON.isoformat(), "unit_amount": "0.5"}
    found = try_out("add_to_plan", **given, since="period")
    # 123 × $0.50
    assert (found.events, found.money) == (0, {"USD": Decimal("61.50")})
    assert PlanVersion.objects.count() == 1
    done = fix("add_to_plan", **given, since="period")
    assert done.money == {"USD": Decimal("61.50")}
    newest = PlanVersion.objects.order_by("-number").first()
    assert (newest.number, newest.is_published) == (2, True)
    assert [price.feature for price in newest.prices.order_by("pk")] == [None, tokens]
    phases = subscription.phases.filter(superseded_at=None).order_by("starts_at")
    assert [(phase.plan_version.number, phase.starts_at.day, phase.starts_at.month) for phase in phases] == [
        (1, 1, 1),
        (2, 1, 3),
    ]


@pytest.mark.parametrize("amount", ["", "free", "-1", "NaN"])
def test_an_invalid_price_is_refused(acme, tokens, amount):
    subscription = make_subscription(customer=acme)
    given = {"subscription": subscription.pk, "feature": tokens.pk, "at": NOON.isoformat(), "unit_amount": amount}
    with pytest.raises(Refused):
        try_out("add_to_plan", **given, since="period")


def test_an_existing_draft_is_not_published(acme, tokens):
    subscription = make_subscription(customer=acme)
    get_or_create_draft(subscription.phases.get().plan_version.plan, by=None)
    given = {"subscription": subscription.pk, "feature": tokens.pk, "at": NOON.isoformat(), "unit_amount": "1"}
    with pytest.raises(FixRefused, match="already has a draft"):
        fix("add_to_plan", **given, since="period")


def test_subscribing_the_customer_bills_earlier_usage(acme, tokens):
    version = make_version({"feature": tokens, "unit_amount": Decimal("0.02")}, free_units={tokens: 10})
    send_three()
    given = {"customer": acme.pk, "plan": f"{version.plan_id}|USD|month|1", "at": NOON.isoformat()}
    found = try_out("create_subscription", **given, starts_at="2026-03-01T00:00")
    assert found.money == {"USD": Decimal("2.26")}
    assert not acme.subscriptions.exists()
    fix("create_subscription", **given, starts_at="2026-03-01T00:00")
    assert acme.subscriptions.get().started_at.isoformat() == "2026-03-01T00:00:00+00:00"


def test_a_new_subscription_starts_at_midnight_of_the_customer_and_its_fee_is_announced(tokens):
    customer = make_customer(external_id="tulip", timezone="Europe/Amsterdam", currency="EUR")
    draft = make_draft()
    for currency in ("EUR", "USD"):
        make_fee(version=draft, currency=currency, unit_amount=Decimal(49), name="Base")
    publish(draft, now=NOON, by=None)
    make_version({"feature": tokens})  # sold in USD only
    send_three(customer="tulip")
    action = make_action("create_subscription", {"customer": str(customer.pk), "at": NOON.isoformat()})
    plan, starts_at = action.fields()
    assert [value for value, _ in plan.choices] == [f"{draft.plan_id}|EUR|month|1"]
    assert starts_at.label == "Starts at (Europe/Amsterdam)"
    assert starts_at.initial == "2026-03-01T00:00"
    values = {"customer": customer.pk, "at": NOON.isoformat(), "plan": plan.initial, "starts_at": starts_at.initial}
    notes = try_out("create_subscription", **values).notes
    assert notes[0] == "A fee starts: Base, €49.00 per month, in advance, from 2026-03-01 (Europe/Amsterdam)."
    fix("create_subscription", **values)
    assert customer.subscriptions.get().started_at.isoformat() == "2026-02-28T23:00:00+00:00"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("2026-03-01T00:00", "2026-03-01T00:00"),
        ("2026-02-28T23:00:00+00:00", "2026-03-01T00:00"),
        ("2026-03-01T00:00:59.5+01:00", "2026-03-01T00:00"),
        ("soon", "soon"),
    ],
)
def test_a_moment_is_written_as_browsers_accept_it(value, written):
    field = Field("starts_at", "Starts at", kind=FieldKind.MOMENT, zone="Europe/Amsterdam")
    assert field.written(value) == written


def test_a_new_subscription_does_not_publish_the_plans_draft(acme, tokens):
    version = make_version({"feature": tokens})
    make_price(version=get_or_create_draft(version.plan, by=None), feature=make_feature(event_name="other"))
    fix("create_subscription", customer=acme.pk, plan=f"{version.plan_id}|USD|month|1", starts_at="2026-03-01T00:00")
    assert acme.subscriptions.get().phases.get().plan_version == version


def test_a_preview_shows_usage_and_amount_of_the_same_billing_period(subscription, tokens):
    send("model.usage", at=NOON - DAY, tokens=50)
    send_three("Model.Usage")
    [change] = try_out("map_event_name", alias="Model.Usage", event_name="model.usage").changes
    assert (change.before, change.after, change.is_billed) == (50, 173, True)
    assert (change.start.isoformat(), change.end.isoformat()) == (
        "2026-03-01T00:00:00+00:00", "2026-04-01T00:00:00+00:00",
    )  # fmt: skip


def test_a_second_application_changes_nothing_more(subscription, tokens):
    send_three("Model.Usage")
    fix("map_event_name", alias="Model.Usage", event_name="model.usage")
    again = fix("map_event_name", alias="Model.Usage", event_name="model.usage")
    assert (again.replayed.events, again.changes, again.money) == (0, (), {})


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("no_such_fix", {}),
        ("activate_feature", {"feature": "999999"}),
        ("activate_customer", {"customer": "x"}),
        ("create_subscription", {"customer": "1", "plan": "1", "starts_at": "soon"}),
    ],
)
def test_a_missing_object_is_refused_with_a_sentence(name, given):
    with pytest.raises(FixRefused):
        preview(make_action(name, given), now=LATER, by=None)


def test_closed_problems_name_who_applied_the_fix(subscription, tokens, staff_user):
    send_three("Model.Usage")
    action = make_action("map_event_name", {"alias": "Model.Usage", "event_name": "model.usage"})
    apply_fix(action, now=LATER, by=staff_user)
    problem = Problem.objects.first()
    assert problem is not None
    assert (problem.closed_by, problem.closing) == (staff_user, "Count events named “Model.Usage” as “model.usage”")


@pytest.mark.django_db(transaction=True)
def test_a_preview_fails_while_workers_hold_the_rows(subscription, tokens):
    send_three("Model.Usage")
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT FROM events_event FOR UPDATE")
        with pytest.raises(PreviewBusy):
            try_out("map_event_name", alias="Model.Usage", event_name="model.usage")
    finally:
        other.rollback()
        other.close()
    assert not EventNameAlias.objects.exists()
    assert try_out("map_event_name", alias="Model.Usage", event_name="model.usage").closed == 3


def test_another_name_of_a_field_lets_earlier_and_later_events_count(subscription, tokens):
    ids = [send("model.usage", at=NOON, token=100), send("model.usage", at=NOON, token=20, tokens=3)]
    process()
    result = try_out("alias_property", feature=tokens.pk, property="token")
    assert (result.events, result.closed, usage_of(result.changes)) == (1, 1, [(3, 103)])
    assert result.money == {"USD": Decimal("1.86")}  # 103 tokens - 10 free = 93 × $0.02; before, 3 were free
    fix("alias_property", feature=tokens.pk, property="token")
    later = send("model.usage", at=NOON, token=7)
    process()
    assert all_counted([*ids, later])
    assert nothing_open()
    tokens.refresh_from_db()
    assert tokens.field_aliases == ["token"]


def test_the_form_of_another_name_lists_what_was_sent(subscription, tokens):
    for properties in ({"amount": 1}, {"amount": 2, "unit": "x"}):
        send("model.usage", **properties)
    process()
    [field] = make_action("alias_property", {"feature": str(tokens.pk)}).fields()
    assert field.choices == (("amount", "amount (2 events)"), ("unit", "unit (1 events)"))
    assert fix("alias_property", feature=tokens.pk, choice="amount").replayed.closed == 2


def test_a_filter_is_extended_by_a_value_that_was_sent(acme):
    feature = make_feature(name="Small", event_name="model.usage", field="tokens", filters={"model": ["small"]})
    send_three(model="small-v2", customer="acme")
    [field] = make_action("extend_filter", {"event_name": "model.usage"}).fields()
    assert [label for _, label in field.choices] == ["model = “small-v2” in Small (3 events)"]
    values = {"event_name": "model.usage", "choice": field.choices[0][0]}
    assert usage_of(try_out("extend_filter", **values).changes) == [(0, 123)]
    fix("extend_filter", **values)
    feature.refresh_from_db()
    assert feature.filters == {"model": ["small", "small-v2"]}
    assert nothing_open()


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("alias_property", {"choice": ""}),
        ("extend_filter", {"property": "region", "value": "eu"}),
        ("extend_filter", {"choice": "[1]"}),
        ("extend_filter", {"choice": "nonsense"}),
    ],
)
def test_a_property_that_cannot_be_read_is_refused(tokens, name, given):
    with pytest.raises(Refused):
        try_out(name, feature=tokens.pk, **given)


def test_adding_a_feature_to_agreed_terms_keeps_what_is_agreed(acme, tokens):
    draft = make_draft()
    fee = make_fee(version=draft)
    terms = [PriceEdit(fee, {"unit_amount": Decimal(7)})]
    subscription = make_subscription(customer=acme, plan=draft.plan, terms=terms)
    send_three()
    given = {"subscription": subscription.pk, "feature": tokens.pk, "at": NOON.isoformat(), "unit_amount": "0.5"}
    done = fix("add_to_plan", **given, since="period")
    assert done.money == {"USD": Decimal("61.50")}
    version = subscription.phases.filter(superseded_at=None).latest("starts_at").plan_version
    assert {price.unit_amount for price in prices_of(version)} == {Decimal("0.5"), Decimal(7)}
    assert PlanVersion.objects.count() == 1
