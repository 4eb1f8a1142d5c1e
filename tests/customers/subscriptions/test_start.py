from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.plans import archive_plan
from catalog.publishing import NothingPublished, PlanArchived, get_or_create_draft
from customers.accounts import archive_customer
from customers.admin.subscriptions.status import status_of
from customers.models import Subscription
from customers.subscriptions import (
    CustomerArchived,
    EndsBeforeStart,
    NoMatchingPrice,
    VersionNotPublished,
    get_billing_period,
    get_phase_at,
    get_phases,
    get_phases_by_subscription,
    subscribe,
)
from tests.factories import (
    NOW,
    START,
    make_customer,
    make_draft,
    make_fee,
    make_plan,
    make_subscription,
    make_user,
    make_version,
)

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def at(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def life(subscription: Subscription) -> list[tuple[str, datetime, datetime | None]]:
    return [(phase.kind, phase.starts_at, phase.ends_at) for phase in get_phases(subscription)]


def test_a_subscription_is_active_from_its_start():
    user = make_user()
    subscription = make_subscription(by=user, reason="Signed order 7")

    phase = get_phases(subscription).get()
    assert life(subscription) == [("active", START, None)]
    assert (phase.recorded_by, phase.reason, subscription.created_by) == (user, "Signed order 7", user)


def test_a_trial_comes_first_and_periods_are_counted_from_its_end():
    subscription = make_subscription(trial_days=14)

    assert life(subscription) == [("trial", START, at(1, 15)), ("active", at(1, 15), None)]
    assert get_billing_period(subscription, at(1, 3)).end == at(1, 15)
    assert get_billing_period(subscription, at(2, 3)).end == at(2, 15)


def test_the_plans_trial_can_be_overridden():
    draft = make_draft()
    make_fee(version=draft)
    draft.trial_days = 7
    draft.save()

    assert [kind for kind, *_ in life(make_subscription(plan=draft.plan))] == ["trial", "active"]
    assert [kind for kind, *_ in life(make_subscription(plan=draft.plan, trial_days=0))] == ["active"]


def test_trial_days_are_days_in_the_customers_time_zone():
    # The clocks go forward in Berlin on 29 March 2026, so that day has 23 hours.
    starts_at = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    subscription = make_subscription(
        customer=make_customer(timezone="Europe/Berlin"), starts_at=starts_at, trial_days=2
    )

    assert get_phases(subscription)[1].starts_at == datetime(2026, 3, 30, 12, tzinfo=ZoneInfo("Europe/Berlin"))


def test_an_end_date_ends_the_last_phase():
    assert life(make_subscription(ends_at=at(7, 1))) == [("active", START, at(7, 1))]
    assert life(make_subscription(ends_at=at(1, 5), trial_days=14)) == [("trial", START, at(1, 5))]
    with pytest.raises(EndsBeforeStart):
        make_subscription(ends_at=START)


def test_calendar_periods_start_at_midnight_in_the_customers_time_zone():
    subscription = make_subscription(
        customer=make_customer(timezone="America/New_York"), starts_at=at(1, 20, 15), alignment="calendar"
    )

    assert subscription.anchor == at(1, 1, 5)
    period = get_billing_period(subscription, at(1, 25))
    assert (period.start, period.end) == (at(1, 20, 15), at(2, 1, 5))


def test_the_anchor_can_be_set():
    subscription = make_subscription(starts_at=at(1, 20), anchor=at(1, 31))

    assert [get_billing_period(subscription, at(2, 10), offset=n).end for n in (0, 1)] == [at(2, 28), at(3, 31)]


def test_a_subscription_keeps_the_customers_time_zone():
    customer = make_customer(timezone="Asia/Tokyo")
    subscription = make_subscription(customer=customer)
    customer.timezone = "UTC"
    customer.save()

    assert Subscription.objects.get(pk=subscription.pk).timezone == "Asia/Tokyo"


# --- Plans -------------------------------------------------------------------------------------------


def test_the_first_subscription_publishes_the_draft():
    draft = make_draft()
    make_fee(version=draft)

    subscription = make_subscription(plan=draft.plan)

    draft.refresh_from_db()
    assert draft.is_published
    assert get_phases(subscription).get().plan_version == draft


def test_a_draft_that_can_not_be_published_creates_no_subscription():
    with pytest.raises(ValidationError, match="the version has no prices and no free tiers"):
        make_subscription(plan=make_draft().plan)
    assert not Subscription.objects.exists()


def test_the_error_for_a_missing_price_lists_the_available_prices():
    version = make_version({"currency": "EUR"}, {"currency": "USD", "interval": "year"}, name="Pro")

    with pytest.raises(
        NoMatchingPrice, match=r"Pro v1 has no price in USD monthly\. Available prices: EUR monthly, USD annual\."
    ):
        make_subscription(plan=version.plan)


def test_a_refused_subscription_publishes_no_draft():
    draft = make_draft()
    make_fee(version=draft, currency="EUR")

    with pytest.raises(NoMatchingPrice):
        make_subscription(plan=draft.plan)
    draft.refresh_from_db()
    assert not draft.is_published


def test_an_earlier_version_can_be_sold_but_a_draft_can_not():
    plan = make_plan()
    first = plan.versions.get()
    draft = get_or_create_draft(plan, by=None)

    assert get_phases(make_subscription(plan=first)).get().plan_version == first
    with pytest.raises(VersionNotPublished):
        make_subscription(plan=draft)


def test_archived_plans_and_customers_are_refused():
    with pytest.raises(PlanArchived):
        make_subscription(plan=archive_plan(make_plan(), now=NOW, by=None))
    with pytest.raises(CustomerArchived, match="Acme is archived"):
        make_subscription(customer=archive_customer(make_customer(name="Acme"), now=NOW, by=None))


def test_a_plan_without_a_published_version_is_refused():
    plan = make_plan(published=False)
    plan.versions.update(is_held=True)

    with pytest.raises(NothingPublished):
        make_subscription(plan=plan)


def test_a_lookup_key_is_unique():
    make_subscription(key="acme-main")

    with pytest.raises(ValidationError, match="Lookup key already exists"):
        make_subscription(key="acme-main")


# --- Reading -----------------------------------------------------------------------------------------


def test_a_phase_includes_its_start_and_excludes_its_end():
    subscription = make_subscription(trial_days=14, ends_at=at(3, 1))

    def kind(moment: datetime) -> str | None:
        phase = get_phase_at(subscription, moment)
        return phase.kind if phase else None

    assert [kind(moment) for moment in (START - DAY, START, at(1, 15), at(2, 28), at(3, 1))] == [
        None,
        "trial",
        "active",
        "active",
        None,
    ]


def test_the_phases_of_many_subscriptions_take_one_query(django_assert_num_queries):
    keys = [make_subscription(trial_days=7).pk for _ in range(3)]

    with django_assert_num_queries(1):
        chains = get_phases_by_subscription(keys)
        plans = {phase.plan_version.plan.name for chain in chains.values() for phase in chain}

    assert [[phase.kind for phase in chains[key]] for key in keys] == [["trial", "active"]] * 3
    assert len(plans) == 3


def test_the_status_of_a_subscription_depends_on_the_moment():
    subscription = make_subscription(trial_days=14, ends_at=at(3, 1))

    def status(moment: datetime) -> str:
        return status_of(Subscription.objects.with_current(moment).get(pk=subscription.pk))[0]

    assert [status(moment) for moment in (START - DAY, START, at(2, 1), at(3, 1))] == [
        "scheduled",
        "trialing",
        "active",
        "cancelled",
    ]


def test_the_number_of_prices_does_not_change_the_query_count_of_subscribing():
    def queries_for(prices: int) -> int:
        version, customer = make_version(*({} for _ in range(prices))), make_customer()
        with CaptureQueriesContext(connection) as queries:
            subscribe(customer, version.plan, currency="USD", interval="month", starts_at=START, now=NOW, by=None)
        return len(queries)

    queries_for(1)  # content types are loaded once
    assert queries_for(20) == queries_for(1)
