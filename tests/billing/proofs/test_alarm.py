"""The alarm of proofs: raised by what differs, cleared by proofs of the same scope and by the next night."""

import pytest

from billing import tasks
from billing.lifecycle.finalize import finalize_due
from billing.lifecycle.void import delete_draft
from billing.month_end.months import Month
from billing.proofs.runs import start_nightly
from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.raising import Finding, raise_alarm
from tests.billing.invoices import make_draft
from tests.billing.late import arrive_many, invoice_at
from tests.billing.proofs.proving import prove, prove_night
from tests.billing.world import D, bill, utc
from tests.config.change_log.tampering import tamper
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)


@pytest.fixture
def acme():
    """Subscribe Acme to calls at $1.00 from 1 September, and have it make ten."""
    calls = make_feature(name="API calls")
    plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
    customer = make_customer(name="Acme", external_id="acme")
    make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER)
    arrive_many(10, utc(2026, 9, 20, 9))
    return customer


def set_amount(amount: int) -> None:
    """Change the amount of all lines behind the product's back."""
    tamper(f"UPDATE billing_invoiceline SET amount = {amount}")


def open_alarms() -> list[str]:
    """Return what the open alarms are about."""
    alarms = Alarm.objects.open().filter(kind=AlarmKind.PROOF_FAILED)
    return list(alarms.order_by("pk").values_list("about", flat=True))


def test_a_night_with_a_difference_raises_an_alarm_that_names_it(acme):
    [invoice] = invoice_at(OCTOBER)
    set_amount(11)
    run = prove_night(OCTOBER)
    alarm = Alarm.objects.open().get()
    assert (alarm.kind, alarm.about, alarm.url) == (AlarmKind.PROOF_FAILED, "", run.get_absolute_url())
    assert invoice.number in alarm.message
    set_amount(10)
    prove_night(OCTOBER)
    assert open_alarms() == []


def test_the_alarm_of_a_draft_is_cleared_after_the_draft_got_its_number(acme):
    [draft] = bill(OCTOBER)
    set_amount(11)
    prove(OCTOBER, invoice=draft)
    assert open_alarms() == [draft.public_id]
    finalize_due(now=utc(2026, 10, 20))  # calculates the draft again
    draft.refresh_from_db()
    assert draft.number
    prove(utc(2026, 10, 20), invoice=draft)
    assert open_alarms() == []


@pytest.mark.parametrize("scope", ["invoice", "customer", "month"])
def test_the_next_night_proves_again_what_has_an_alarm(acme, scope):
    [invoice] = invoice_at(OCTOBER)
    scopes = {"invoice": invoice, "customer": acme, "month": Month.named("2026-09").first}
    set_amount(11)
    prove(OCTOBER, **{scope: scopes[scope]})
    assert len(open_alarms()) == 1
    tasks.start_nightly_proofs()
    tasks.continue_proofs()
    assert len(open_alarms()) == 2
    set_amount(10)
    tasks.start_nightly_proofs()
    tasks.continue_proofs()
    assert open_alarms() == []


def test_the_alarm_of_a_deleted_draft_is_cleared_by_the_next_night():
    draft = make_draft()
    raise_alarm(Finding(AlarmKind.PROOF_FAILED, "1 differs", "Look.", about=draft.public_id), now=OCTOBER)
    delete_draft(draft)
    start_nightly(now=OCTOBER)
    assert open_alarms() == []
