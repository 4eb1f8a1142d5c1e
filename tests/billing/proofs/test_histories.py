"""Whatever happens to a customer, in any order: every line can be proved, or waits to be recalculated."""

from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.lifecycle.finalize import finalize_due
from billing.models import Invoice
from billing.proofs.asking import open_rater
from billing.proofs.invoices import InvoiceProofs
from customers.subscriptions import cancel, change_plan
from tests.billing.late import arrive
from tests.billing.late_usage.test_history_properties import DAY, POLICIES, STEPS, Story, begin
from tests.billing.proofs.proving import counts, differences, prove
from tests.billing.world import D, amounts, bill, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
WITHOUT_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "name": "Platform"}


class PunctualStory(Story):
    """A story whose clock never goes back, and that does one thing after the other."""

    def play(self, step):
        self.now += timedelta(seconds=1)
        super().play(step)

    def end(self, days):
        at = self.now + days * DAY
        self.both(lambda each: cancel(each, at=at, now=self.now, by=None, reason="Agreed"))


@pytest.mark.slow
@pytest.mark.django_db
@settings(max_examples=12, deadline=None, phases=WITHOUT_SHRINKING, suppress_health_check=list(HealthCheck))
@given(POLICIES, st.lists(STEPS, min_size=12, max_size=30))
def test_every_line_is_proved_in_any_history(policy, steps):
    with transaction.atomic(), open_rater() as rater:
        story = begin(*policy, story=PunctualStory)
        for step in steps:
            story.play(step)
        story.play(("work_late",))
        findings = InvoiceProofs(list(Invoice.objects.values_list("pk", flat=True)), rater).prove()
        assert findings.found == []
        transaction.set_rollback(True)


@pytest.fixture
def plans():
    """Return a plan with a fee of $30.00 in advance and calls at $1.00, and one of $60.00 and $2.00."""
    calls = make_feature(name="API calls")
    return [
        make_version(FEE | {"unit_amount": D(fee)}, {"feature": calls, "unit_amount": D(call)}, now=SEPTEMBER)
        for fee, call in ((30, 1), (60, 2))
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_an_end_that_was_moved_while_a_draft_was_calculated(plans, seconds):
    """The day of 1 September was drafted for $1.00. The end moved by a day, but the change's time is about the same."""
    customer = make_customer(external_id="acme")
    subscription = make_subscription(customer=customer, plan=plans[0], starts_at=SEPTEMBER)
    now = SEPTEMBER + timedelta(hours=1)
    cancel(subscription, at=SEPTEMBER + DAY, now=now - timedelta(minutes=9), by=None)
    [draft] = bill(now)
    assert amounts(draft) == [D("1.00")]
    cancel(subscription, at=SEPTEMBER + 2 * DAY, now=now + timedelta(seconds=seconds), by=None)
    assert differences(prove(OCTOBER, customer=customer)) == []


@pytest.mark.django_db
@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_a_plan_change_that_is_saved_while_an_invoice_is_calculated(plans, seconds):
    """The run of 1 October began a second before the change was saved, and calculated the invoice with it."""
    customer = make_customer(external_id="acme")
    subscription = make_subscription(customer=customer, plan=plans[0], starts_at=SEPTEMBER)
    bill(SEPTEMBER)
    arrive(utc(2026, 9, 5), utc(2026, 9, 25))
    saved_at = OCTOBER + timedelta(seconds=seconds)
    change_plan(subscription, plans[1], at=utc(2026, 9, 16), now=saved_at, by=None, reason="Agreed")
    bill(OCTOBER)
    finalize_due(now=OCTOBER)
    run = prove(OCTOBER, customer=customer)
    assert differences(run) == []
    assert counts(run)["lines"][0] > 3


@pytest.mark.django_db
def test_a_change_long_before_an_invoice_that_doesnt_have_it_is_a_difference(plans):
    customer = make_customer(external_id="acme")
    subscription = make_subscription(customer=customer, plan=plans[0], starts_at=SEPTEMBER)
    now = SEPTEMBER + timedelta(hours=1)
    cancel(subscription, at=SEPTEMBER + DAY, now=now, by=None)
    bill(now)
    cancel(subscription, at=SEPTEMBER + 2 * DAY, now=now - timedelta(minutes=2), by=None)
    [(name, *figures)] = differences(prove(OCTOBER, customer=customer))
    assert name.endswith("Platform, 1 Sep 2026 · 1 of 30 days")
    assert figures == ["Amount", "1.00", "2.00"]
