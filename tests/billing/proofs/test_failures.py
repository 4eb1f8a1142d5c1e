"""Proofs that fail: the failure is a difference with its error, and everything else is proved."""

import os
import signal

import pytest
from django.db import connection

from billing import tasks
from billing.models import Invoice, ProofPart, ProofRun
from billing.month_end.months import Month
from billing.proofs import asking, runs
from billing.proofs.asking import Rater
from billing.proofs.checks.books import Receivables, Wallets
from billing.proofs.runs import start_nightly, start_proofs
from config.alarms.models import Alarm
from tests.billing.late import arrive_many, invoice_at
from tests.billing.proofs.proving import counts, differences, prove_night
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)


@pytest.fixture
def invoices() -> list[Invoice]:
    """Bill ten calls of September at $1.00 to each of two customers."""
    calls = make_feature(name="API calls")
    plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
    for name in ("acme", "globex"):
        make_subscription(customer=make_customer(external_id=name), plan=plan, starts_at=SEPTEMBER)
        arrive_many(10, utc(2026, 9, 20, 9), customer=name)
    return invoice_at(OCTOBER)


@pytest.mark.parametrize(
    ("method", "number", "ending"),
    [
        ("needs", signal.SIGKILL, "was killed by signal 9"),
        ("answer", signal.SIGKILL, "was killed by signal 9"),
        ("answer", signal.SIGSTOP, "gave no answer for 0.2 seconds"),
    ],
)
def test_an_invoice_at_which_the_rater_ends_or_hangs_is_named_and_the_next_one_is_proved(
    invoices, monkeypatch, method, number, ending
):
    ask = getattr(Rater, method)
    calls: list[int] = []

    def hit_once(self, argument):
        if self.process is not None and not calls:
            calls.append(self.process.pid)
            os.kill(self.process.pid, number)
            with monkeypatch.context() as patch:
                patch.setattr(asking, "LONGEST_WAIT", 0.2)
                return ask(self, argument)
        return ask(self, argument)

    monkeypatch.setattr(Rater, method, hit_once)
    run = prove_night(OCTOBER)
    [(name, figure, _, error)] = differences(run)
    assert name in [invoice.number for invoice in invoices]
    assert (figure, error) == ("Not proved", f"The independent rater {ending}")
    assert counts(run)["lines"] == (1, 0, 1)
    assert run.finished_at == OCTOBER
    assert name in Alarm.objects.open().get().message


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda: {}["seat"], "Unexpected error, KeyError: 'seat'"),
        (lambda: connection.cursor().execute("SELECT 1/0"), "Unexpected error, DivisionByZero: division by zero"),
    ],
)
def test_a_part_that_fails_is_a_difference_and_the_others_are_proved(invoices, monkeypatch, work, error):
    monkeypatch.setattr(Wallets, "cover", Receivables.cover)
    monkeypatch.setattr(Wallets, "prove", lambda self, run, part: work())
    run = prove_night(OCTOBER)
    [(name, figure, _, message)] = differences(run)
    assert (name.endswith("of All invoices"), figure) == (True, "Not proved")
    assert message.replace("DataError", "DivisionByZero") == error
    assert counts(run)["wallets"] == (0, 0, 1)
    assert counts(run)["lines"] == (2, 0, 0)
    assert (run.finished_at, ProofPart.objects.exists()) == (OCTOBER, False)


def test_each_run_has_its_turn_whatever_the_others_do(invoices, monkeypatch):
    night = start_nightly(now=OCTOBER)
    month = start_proofs(now=OCTOBER, by=None, month=Month.named("2026-09").first)
    proved: list[int] = []
    prove_part = runs.prove_part

    def fails_at_the_month(run_id, *, now):
        if run_id == month.pk:
            raise OSError("no space left on device")
        proved.append(run_id)
        return prove_part(run_id, now=now)

    monkeypatch.setattr(runs, "prove_part", fails_at_the_month)
    with pytest.raises(OSError, match="no space left"):
        tasks.continue_proofs()
    assert set(proved) == {night.pk}
    assert ProofRun.objects.get(finished_at=None) == month


def test_a_long_run_doesnt_hold_up_a_short_one(invoices, monkeypatch):
    month = start_proofs(now=OCTOBER, by=None, month=Month.named("2026-09").first)
    invoice = start_proofs(now=OCTOBER, by=None, invoice=invoices[0])
    proved: list[int] = []
    prove_part = runs.prove_part

    def noted(run_id, *, now):
        proved.append(run_id)
        return prove_part(run_id, now=now)

    monkeypatch.setattr(runs, "prove_part", noted)
    tasks.continue_proofs()
    assert proved[:4] == [month.pk, invoice.pk, month.pk, invoice.pk]
    assert len(proved) > 30
