"""Simulations run in chunks: interrupted, canceled and repeated, with one digest and one webhook."""

import pytest
from auditlog.models import LogEntry
from django.db import transaction

from billing.simulation import running
from billing.simulation.running import (
    CannotSimulate,
    SimulationInputs,
    cancel_simulation,
    progress_of,
    simulate_chunk,
    start_simulation,
)
from billing.tasks import continue_simulations
from catalog.models import Price
from catalog.publishing import get_or_create_draft
from config.webhooks.models import WebhookEndpoint, WebhookMessage
from customers.models import Customer
from customers.subscriptions import cancel
from tests.billing.runs.test_interruptions import Crashed, crash_at
from tests.billing.simulations import simulate_to_end
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}


@pytest.fixture
def draft(monkeypatch):
    """Make five billed subscriptions in chunks of two, and a draft of their plan with a fee of $40.00."""
    monkeypatch.setattr(running, "CHUNK_SIZE", 2)
    calls = make_feature(name="API calls")
    plan = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")}, now=SEPTEMBER).plan
    for number in range(5):
        customer = make_customer(metadata={"tier": "gold" if number < 2 else "silver"})
        make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER, now=SEPTEMBER)
        use(customer, calls, utc(2026, 9, 5), 100 * number + 1)
    bill(SEPTEMBER)
    bill(OCTOBER)
    version = get_or_create_draft(plan, by=None, held=True)
    Price.objects.filter(version=version, kind="fixed").update(unit_amount=D(40))
    return version


def start(draft, **inputs):
    return start_simulation(SimulationInputs(version=draft, **{"plan": draft.plan} | inputs), now=OCTOBER, by=None)


def test_a_crash_at_any_statement_loses_and_duplicates_nothing(draft):
    expected = simulate_to_end(start(draft), now=OCTOBER)
    simulation, number = start(draft), 0
    while simulation.is_running:
        number += 1
        try:
            with transaction.atomic(), crash_at(number):
                simulate_chunk(simulation.pk, now=OCTOBER)
        except Crashed:
            continue
        simulation.refresh_from_db()
    assert number > 20
    assert (simulation.results, simulation.digest) == (expected.results, expected.digest)
    assert simulation.invoices.count() == 5


def test_the_digest_changes_with_usage_and_prices(draft):
    first = simulate_to_end(start(draft), now=OCTOBER).digest
    assert simulate_to_end(start(draft), now=OCTOBER).digest == first
    use(Customer.objects.earliest("pk"), make_feature(name="Unpriced"), utc(2026, 9, 6), 1)
    assert simulate_to_end(start(draft), now=OCTOBER).digest == first
    Price.objects.filter(version=draft, kind="fixed").update(unit_amount=D(41))
    assert simulate_to_end(start(draft), now=OCTOBER).digest != first


def test_a_canceled_simulation_has_no_results_and_isnt_continued(draft):
    ada = make_user()
    simulation = start(draft)
    assert simulate_chunk(simulation.pk, now=OCTOBER) == 2
    canceled = cancel_simulation(simulation, now=OCTOBER, by=ada)
    assert (canceled.state, canceled.results, canceled.digest) == ("canceled", [], "")
    assert (simulate_chunk(simulation.pk, now=OCTOBER), continue_simulations()) == (0, 0)
    assert progress_of(simulation).done == 2
    assert cancel_simulation(simulation, now=utc(2026, 10, 2), by=None).finished_at == OCTOBER
    entry = LogEntry.objects.get_for_object(simulation).latest("pk")
    assert (entry.actor, entry.changes["state"]) == (ada, ["running", "canceled"])


def test_a_finished_simulation_is_sent_to_webhooks_once(draft, django_capture_on_commit_callbacks):
    WebhookEndpoint.objects.create(url="https://hooks.example.com", secret="whsec_dGVzdA==")
    simulation = start(draft)
    assert continue_simulations() == 5
    assert continue_simulations() == 0
    [message] = WebhookMessage.objects.filter(event_type="simulation.completed")
    assert f'"id":"{simulation.public_id}"' in message.body
    assert '"change":"100.00"' in message.body  # 5 times $20.00: the opening, and the fee of October


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        ({}, 5),
        ({"plan": None}, 5),
        ({"plan": None, "segment": ("tier", "gold")}, 2),
    ],
)
def test_subscriptions_are_selected_by_plan_segment_or_all(draft, inputs, count):
    assert start(draft, **inputs).subscriptions == count


def test_listed_subscriptions_and_only_live_ones(draft):
    first, second = (customer.subscriptions.get() for customer in Customer.objects.order_by("pk")[:2])
    assert start(draft, plan=None, listed=[first.public_id]).subscriptions == 1
    cancel(second, at=utc(2026, 9, 20), now=OCTOBER, by=None, reason="Agreed")
    assert start(draft).subscriptions == 4
    with pytest.raises(CannotSimulate, match="There is no subscription subs_nobody"):
        start(draft, plan=None, listed=["subs_nobody"])
    with pytest.raises(CannotSimulate, match="No live subscription"):
        start(draft, plan=None, listed=[second.public_id])
    with pytest.raises(CannotSimulate, match="from 1 to 24 periods"):
        start(draft, periods=25)
