"""What is finalized stays as it is, whatever SQL is sent: rows aren't moved in, and no date is rewritten."""

import pytest
from django.db import DatabaseError, connection, transaction

from billing.lifecycle.finalize import finalize
from billing.lifecycle.void import mark_paid
from billing.models import CouponUse
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from tests.billing.adjusting import give, make_coupon, make_credit
from tests.billing.invoices import later, make_draft, make_finalized
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db
NOW = later()


def refused(statement, *parameters, by):
    with pytest.raises(DatabaseError, match=by), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def test_a_drafts_line_is_not_moved_into_a_finalized_invoice():
    frozen, draft = make_finalized("100"), make_draft("55")
    refused(
        "UPDATE billing_invoiceline SET invoice_id = %s, position = 99 WHERE invoice_id = %s", frozen.pk, draft.pk,
        by="lines of a finalized invoice never change",
    )  # fmt: skip


def test_a_discounts_use_is_neither_moved_into_a_finalized_invoice_nor_written_for_it():
    frozen, draft = make_finalized("100"), make_draft("55")
    applied = give(make_coupon(), draft.customer)
    CouponUse.objects.create(application=applied, invoice=draft, number=1, amount=D(5))
    said = "discounts of a finalized invoice never change"
    refused("UPDATE billing_couponuse SET invoice_id = %s", frozen.pk, by=said)
    refused(
        "INSERT INTO billing_couponuse (application_id, invoice_id, number, amount)"
        " SELECT application_id, %s, 2, 5 FROM billing_couponuse", frozen.pk,
        by=said,
    )  # fmt: skip


def test_a_drafts_line_is_not_moved_into_a_finalized_credit_note():
    invoice = make_finalized("60", "40")
    first, second = invoice.lines.order_by("position")
    frozen = draft_credit_note(invoice, {first.pk: D(10)}, reason="billing_error", by=None)
    finalize_credit_note(frozen, now=NOW, by=None)
    draft = draft_credit_note(invoice, {second.pk: D(10)}, reason="billing_error", by=None)
    refused(
        "UPDATE billing_creditnoteline SET credit_note_id = %s, position = 2 WHERE credit_note_id = %s",
        frozen.pk, draft.pk, by="lines of a credit note never change",
    )  # fmt: skip


@pytest.mark.parametrize(
    "change", ["expires_at = '2030-01-01'", "expires_at = NULL", "granted_at = granted_at - interval '1 day'"]
)
def test_when_credit_lapses_is_settled_as_it_is_granted(change):
    make_credit(make_customer(), 50, now=NOW, expires_at=later(days=30))
    refused(f"UPDATE billing_creditgrant SET {change}", by="Cannot update rows")


@pytest.mark.parametrize("paid_at", ["now()", "NULL"])
def test_when_an_invoice_was_paid_changes_only_with_its_state(paid_at):
    invoice = finalize(make_draft("100"), now=NOW)
    refused("UPDATE billing_invoice SET paid_at = now()", by="only together with its state")
    mark_paid(invoice, now=NOW)
    refused(f"UPDATE billing_invoice SET paid_at = {paid_at}", by="only together with its state")


@pytest.mark.parametrize(
    "table",
    [
        "billing_invoice", "billing_invoiceline", "billing_payment", "billing_wallet", "billing_walletentry",
        "billing_creditgrant", "billing_creditnote", "billing_creditnoteline", "billing_couponuse",
        "catalog_planversion", "catalog_price", "catalog_pricetier", "customers_customer",
        "customers_subscriptionphase", "events_event", "events_eventvoid", "auditlog_logentry", "auth_user",
    ],
)  # fmt: skip
@pytest.mark.parametrize("said", ["off", ""])
def test_no_session_of_the_products_empties_what_is_kept(table, said):
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('countinghouse.allow_truncate', %s, true)", [said])
        cursor.execute("SET LOCAL ROLE NONE")  # the application's role can empty no table anyway
    refused(f"TRUNCATE {table} CASCADE", by="is never emptied")
