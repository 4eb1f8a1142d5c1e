"""The last backup is one of the proofs of a night, and verifying a backup proves the restored copy."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from billing.models import Invoice, ProofRun
from config.backups.models import Backup
from config.backups.running import back_up
from tests.billing.late import arrive_many, invoice_at
from tests.billing.proofs.proving import counts, differences, prove_night
from tests.billing.world import D, utc
from tests.config.change_log.tampering import tamper
from tests.factories import make_customer, make_feature, make_subscription, make_version

NOW = datetime(2026, 10, 2, 1, 40, tzinfo=UTC)
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)


def make_backup(**values: object) -> Backup:
    times = {"started_at": NOW, "finished_at": NOW}
    return Backup.objects.create(**{"name": "2026-10-02T01-40-00Z", "tables": 98, **times, **values})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ({"verified_at": NOW}, (98, 0, 0)),
        ({}, (0, 98, 0)),
        ({"problem": "public.billing_invoice has 4 of 5 rows"}, (97, 0, 1)),
    ],
)
def test_the_tables_of_the_last_backup_are_proved_once_it_is_verified(values, counted):
    make_backup(**values)
    assert counts(prove_night(NOW))["backup"] == counted


@pytest.mark.django_db
def test_what_differed_in_the_restored_copy_is_named():
    make_backup(problem="public.billing_invoice has 4 of 5 rows")
    (difference,) = differences(prove_night(NOW))
    assert difference == (
        "2026-10-02T01-40-00Z",
        "Restored copy",
        "complete",
        "public.billing_invoice has 4 of 5 rows",
    )


@pytest.mark.django_db
def test_without_a_backup_nothing_is_claimed():
    assert "backup" not in counts(prove_night(NOW))


@pytest.fixture
def invoices(transactional_db: None) -> list[Invoice]:
    """Invoice ten calls at $1.00."""
    calls = make_feature(name="API calls")
    plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
    make_subscription(customer=make_customer(external_id="acme"), plan=plan, starts_at=SEPTEMBER)
    arrive_many(10, utc(2026, 9, 20, 9))
    return invoice_at(OCTOBER)


def test_verifying_a_backup_proves_the_restored_copy_and_nothing_of_it_stays(invoices: list[Invoice], tmp_path: Path):
    make_backup(problem="An earlier backup failed.")
    assert back_up(tmp_path, verify=True, now=NOW).problem == ""
    assert ProofRun.objects.count() == 0


def test_an_amount_that_was_changed_before_the_backup_is_named(invoices: list[Invoice], tmp_path: Path):
    tamper("UPDATE billing_invoiceline SET amount = 11 WHERE kind = 'usage'")
    assert back_up(tmp_path, verify=True, now=NOW).problem.startswith("proofs: ")
