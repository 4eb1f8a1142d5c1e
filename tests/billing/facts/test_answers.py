"""Facts from billing about an event: period, invoice, free units, line, and the value of usage."""

import pytest

from billing.facts.answers import BillingAnswers
from customers.periods import Period
from events.diagnosis import Status, StepKey, diagnose
from events.diagnosis.billing_facts import PeriodStatus
from events.models import Event
from tests.billing.world import D, bill, use, utc
from tests.events.senders import process, send
from tests.factories import (
    make_customer,
    make_draft,
    make_entitlement,
    make_feature,
    make_price,
    make_subscription,
    make_version,
)

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)


@pytest.fixture
def calls(db):
    return make_feature(name="API calls", unit_singular="call", unit_plural="calls")


@pytest.fixture
def customer(db):
    return make_customer(name="Acme", external_id="acme")


def subscribe(customer, *prices, **options):
    version = make_version(*prices, **options)
    return make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)


def load_facts(subscription, feature, at, now):
    facts_by_feature = BillingAnswers().facts(subscription_id=subscription.pk, feature_ids=[feature.pk], at=at, now=now)
    return facts_by_feature[feature.pk]


def test_the_current_period_has_no_invoice_and_a_preview_line(customer, calls):
    subscription = subscribe(customer, {"feature": calls, "unit_amount": D("0.01")}, free_units={calls: 1000})
    use(customer, calls, utc(2026, 9, 20), 1500)
    facts = load_facts(subscription, calls, utc(2026, 9, 10), utc(2026, 9, 21))
    assert (facts.period, facts.status, facts.invoice) == (Period(SEPTEMBER, OCTOBER), PeriodStatus.CURRENT, None)
    assert (facts.free_tier.limit, facts.free_tier.used, facts.free_tier.remaining) == (1000, 1500, 0)
    # 1,500 - 1,000 free = 500 × $0.01
    assert [line.amount for line in facts.lines] == ["$5.00"]


def test_remaining_free_units_are_shown(customer, calls):
    subscription = subscribe(customer, {"feature": calls}, free_units={calls: 1000})
    use(customer, calls, utc(2026, 9, 20), 300)
    facts = load_facts(subscription, calls, utc(2026, 9, 10), utc(2026, 9, 21))
    assert facts.free_tier.remaining == 700


def test_daily_free_units_are_those_of_the_events_day(customer, calls):
    draft = make_draft()
    make_price(version=draft, feature=calls)
    make_entitlement(version=draft, feature=calls, free_units=100, reset="daily")
    subscription = make_subscription(customer=customer, plan=draft.plan, starts_at=SEPTEMBER, now=SEPTEMBER)
    use(customer, calls, utc(2026, 9, 10, 8), 90)
    use(customer, calls, utc(2026, 9, 11, 8), 30)
    facts = load_facts(subscription, calls, utc(2026, 9, 11, 12), utc(2026, 9, 21))
    assert (facts.free_tier.used, facts.free_tier.remaining) == (30, 70)
    assert facts.free_tier.window == Period(utc(2026, 9, 11), utc(2026, 9, 12))


def test_a_closed_period_names_its_invoice_and_line(customer, calls):
    subscription = subscribe(customer, {"feature": calls, "unit_amount": D("0.01")})
    use(customer, calls, utc(2026, 9, 20), 1500)
    [invoice] = bill(OCTOBER)
    facts = load_facts(subscription, calls, utc(2026, 9, 10), utc(2026, 10, 5))
    assert facts.status == PeriodStatus.PAST
    assert facts.invoice.number == str(invoice)
    assert [(line.amount, line.is_written) for line in facts.lines] == [("$15.00", True)]


def test_a_plan_without_the_feature_has_no_line(customer, calls):
    subscription = subscribe(customer, {"feature": make_feature(event_name="other")})
    assert load_facts(subscription, calls, utc(2026, 9, 10), utc(2026, 9, 11)).lines == ()


def test_the_value_of_usage_is_the_amount_of_its_periods(customer, calls):
    subscribe(customer, {"feature": calls, "unit_amount": D("0.01")}, free_units={calls: 100})
    use(customer, calls, utc(2026, 9, 20), 1500)
    use(customer, calls, utc(2026, 10, 20), 200)
    answers = BillingAnswers()
    september, october = (customer.pk, utc(2026, 9, 5)), (customer.pk, utc(2026, 10, 5))
    assert answers.worth([september, (customer.pk, utc(2026, 9, 6))], now=NOVEMBER).amounts == {"USD": D("14.00")}
    both = answers.worth([september, october], now=NOVEMBER)
    assert (both.amounts, both.periods) == ({"USD": D("15.00")}, 2)
    assert answers.worth([(customer.pk, utc(2026, 1, 1))], now=NOVEMBER).amounts == {}


def find_step(event_id, key, now):
    steps = diagnose(Event.objects.get(event_id=event_id), now=now)
    return next(step for step in steps if step.key == key)


def test_the_diagnosis_shows_the_remaining_free_units(customer, calls):
    subscribe(customer, {"feature": calls}, free_units={calls: 1000})
    event_id = send(at=utc(2026, 9, 10))
    process()
    step = find_step(event_id, StepKey.FREE_TIER, utc(2026, 9, 11))
    assert (step.status, step.reason) == (Status.WARNING, "within_free_tier")
    assert step.sentence == "Within the free tier: 1 of 1,000 calls used, 999 left."


def test_the_diagnosis_names_the_period_and_the_amount(customer, calls):
    subscribe(customer, {"feature": calls, "unit_amount": D("0.25")})
    event_id = send(at=utc(2026, 9, 10))
    process()
    period = find_step(event_id, StepKey.PERIOD, utc(2026, 9, 11))
    assert (period.status, period.reason) == (Status.PASS, None)
    assert "2026-09-01 00:00 to 2026-10-01 00:00 UTC" in period.sentence
    line = find_step(event_id, StepKey.INVOICE_LINE, utc(2026, 9, 11))
    assert line.sentence == "The line for API calls currently amounts to $0.25."


def test_an_event_of_another_period_names_the_period(customer, calls):
    subscribe(customer, {"feature": calls})
    event_id = send(at=utc(2026, 9, 10))
    process()
    step = find_step(event_id, StepKey.PERIOD, utc(2026, 10, 5))
    assert (step.status, step.reason) == (Status.WARNING, "outside_billing_period")


def test_an_event_counted_after_its_period_was_invoiced_is_late(customer, calls):
    subscribe(customer, {"feature": calls})
    use(customer, calls, utc(2026, 9, 20), 3)
    [invoice] = bill(OCTOBER)
    event_id = send(at=utc(2026, 9, 10))
    process()
    step = find_step(event_id, StepKey.PERIOD, utc(2026, 10, 5))
    assert (step.status, step.reason) == (Status.WARNING, "period_already_invoiced")
    assert str(invoice) in step.sentence
