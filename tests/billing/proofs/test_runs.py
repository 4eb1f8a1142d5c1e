"""Runs of proofs: their scope, their parts, and workers that are killed."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from billing.models import Invoice, ProofPart, ProofRun
from billing.month_end.months import Month
from billing.proofs.checks.invoice_lines import InvoiceLines
from billing.proofs.runs import prove_part, prove_to_end, start_nightly, start_proofs
from billing.proofs.scope import invoices_of, open_months
from billing.proofs.signing import NotSigned, public_key, signed_result, verify_result
from tests.billing.late import arrive, arrive_many, invoice_at, work_late
from tests.billing.proofs.proving import counts, differences, prove, prove_night
from tests.billing.world import D, bill, utc
from tests.config.change_log.tampering import tamper
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
USED = utc(2026, 9, 20, 9)


class Killed(BaseException):
    """The worker's process ends."""


@pytest.fixture
def acme():
    """Subscribe Acme to calls at $1.00 from 1 September, and have it make ten."""
    calls = make_feature(name="API calls")
    plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
    customer = make_customer(name="Acme", external_id="acme")
    make_subscription(customer=customer, plan=plan, starts_at=SEPTEMBER)
    arrive_many(10, USED)
    return customer


def test_a_night_runs_once_at_a_time(acme):
    assert start_nightly(now=OCTOBER) == start_nightly(now=OCTOBER)
    assert ProofRun.objects.count() == 1


def test_a_killed_worker_leaves_its_part_to_another(acme, monkeypatch):
    invoice_at(OCTOBER)
    run = start_nightly(now=OCTOBER)

    def killed(self, run, part):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(InvoiceLines, "prove", killed)
        with pytest.raises(Killed):
            prove_to_end(run, now=OCTOBER)
    assert ProofPart.objects.filter(result__kind="lines", finished_at=None).count() == 1
    assert counts(prove_to_end(run, now=OCTOBER))["lines"] == (1, 0, 0)
    assert not ProofPart.objects.exists()
    assert not prove_part(run.pk, now=OCTOBER)


def test_late_usage_waits_until_it_is_recalculated_and_is_proved_then(acme):
    invoice_at(OCTOBER)
    arrive(USED)
    assert counts(prove(OCTOBER, customer=acme))["lines"] == (0, 1, 0)
    work_late(OCTOBER)
    assert counts(prove(OCTOBER, customer=acme))["lines"] == (1, 0, 0)
    invoice_at(NOVEMBER)
    assert counts(prove(NOVEMBER, customer=acme))["lines"] == (2, 0, 0)


def test_a_draft_whose_usage_changed_waits_for_its_recalculation(acme):
    bill(OCTOBER)
    arrive(USED)
    assert counts(prove(OCTOBER, customer=acme))["lines"] == (0, 1, 0)


def test_the_amount_of_a_late_line_is_proved(acme):
    invoice_at(OCTOBER)
    arrive(USED)
    work_late(OCTOBER)
    [invoice] = invoice_at(NOVEMBER)
    tamper(f"UPDATE billing_invoiceline SET amount = 2 WHERE invoice_id = {invoice.pk}")
    found = differences(prove(NOVEMBER, invoice=invoice))
    assert ("Amount", "2.00", "1.00") in [figures for _, *rest in found if (figures := tuple(rest))]


def test_one_invoice_one_customer_or_one_month_can_be_proved(acme):
    [invoice] = invoice_at(OCTOBER)
    assert set(counts(prove(OCTOBER, invoice=invoice))) == {"lines", "receivables"}
    assert set(counts(prove(OCTOBER, customer=acme))) == {"usage", "lines", "receivables", "wallets", "reconciliation"}
    assert counts(prove(OCTOBER, month=Month.named("2026-09").first))["lines"] == (1, 0, 0)
    assert counts(prove(OCTOBER, month=Month.named("2026-08").first))["lines"] == (0, 0, 0)


def test_older_invoices_are_covered_once_in_thirty_nights(acme):
    [invoice] = invoice_at(OCTOBER)
    nights = [ProofRun(started_at=utc(2027, 6, day), is_nightly=True) for day in range(1, 31)]
    assert sum(invoices_of(night).count() for night in nights) == 1
    assert [str(month) for month in open_months(utc(2027, 6, 1))] == ["2027-06", "2027-05", "2027-04"]
    assert invoice in invoices_of(ProofRun(started_at=OCTOBER, is_nightly=True))


def test_a_run_of_the_same_scope_is_joined(acme):
    first = start_proofs(now=OCTOBER, by=None, customer=acme)
    assert start_proofs(now=OCTOBER, by=None, customer=acme) == first


def test_the_signed_result_is_verified_and_a_changed_one_refused(acme):
    invoice_at(OCTOBER)
    file = signed_result(prove_night(OCTOBER))
    content = verify_result(file, public_key())
    lines = next(result for result in content["results"] if result["kind"] == "lines")
    assert (lines["checked"], lines["proved"], content["differences"]) == (1, 1, [])
    changed = json.loads(file) | {"company": "Someone else"}
    with pytest.raises(NotSigned, match="was changed"):
        verify_result(json.dumps(changed).encode())
    with pytest.raises(NotSigned, match="isn't a signed result"):
        verify_result(b"{}")


def test_the_command_proves_and_fails_if_something_differs(acme, capsys):
    [invoice] = invoice_at(OCTOBER)
    call_command("prove", invoice=invoice.number)
    assert "Invoice lines recalculated: 1 of 1 proved" in capsys.readouterr().out
    tamper("UPDATE billing_invoiceline SET amount = 11")
    with pytest.raises(CommandError, match="figures differ"):
        call_command("prove", invoice=invoice.number)
    assert "11.00 is stored, 10.00 was calculated again" in capsys.readouterr().out


def test_a_file_is_verified_by_the_command(acme, tmp_path, capsys):
    path = tmp_path / "proof.json"
    path.write_bytes(signed_result(prove_night(OCTOBER)))
    call_command("verify_proof", path)
    assert "The signature fits." in capsys.readouterr().out
    path.write_text("[]")
    with pytest.raises(CommandError, match="isn't a signed result"):
        call_command("verify_proof", path)


def test_proofs_change_nothing_but_their_own_rows(acme):
    invoice_at(OCTOBER)
    before = list(Invoice.objects.values())
    with transaction.atomic():
        prove_night(OCTOBER)
    assert list(Invoice.objects.values()) == before
