"""Many drafts are finalized together: few statements, unchanged lines kept, one history entry, no gap in numbers."""

from contextlib import suppress
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import tasks
from billing.lifecycle import finalize
from billing.lifecycle.finalize import finalize_due, finalize_next
from billing.models import Invoice, InvoiceLine, NumberSeries
from config import jobs
from tests.billing.adjusting import give, make_coupon, make_credit
from tests.billing.invoices import make_draft
from tests.billing.runs.test_interruptions import Crashed, crash_at
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
START, END = utc(2026, 9, 1), utc(2026, 10, 1)
FEE = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D(20)}


@pytest.fixture
def calls():
    return make_feature(name="API calls")


@pytest.fixture
def subscribed(calls):
    """Subscribe so many customers, each with 500 calls in September, and bill it: $20 and $5."""
    plan = make_version(FEE, {"feature": calls, "unit_amount": D("0.01")})

    def subscribe(count):
        customers = [make_customer() for _ in range(count)]
        for customer in customers:
            make_subscription(customer=customer, plan=plan, starts_at=START, now=START)
            use(customer, calls, utc(2026, 9, 5), 500)
        return sorted(bill(END), key=lambda draft: draft.pk)

    return subscribe


def numbers():
    return list(Invoice.objects.exclude(number=None).order_by("number").values_list("number", flat=True))


def line_keys():
    return list(InvoiceLine.objects.order_by("pk").values_list("pk", "invoice"))


def test_lines_are_replaced_only_if_they_changed(subscribed, calls):
    quiet, late = subscribed(2)
    before = line_keys()
    use(late.customer, calls, utc(2026, 9, 6), 100)
    assert finalize_due(now=END) == 2
    after = line_keys()
    assert [key for key in after if key[1] == quiet.pk] == [key for key in before if key[1] == quiet.pk]
    assert not {key for key in after if key[1] == late.pk} & set(before)
    assert list(Invoice.objects.order_by("pk").values_list("total", flat=True)) == [D(25), D(26)]


def test_a_changed_proof_is_saved_even_if_the_amount_is_the_same(subscribed, calls):
    [invoice] = subscribed(1)
    use(invoice.customer, calls, utc(2026, 9, 6), 0)
    finalize_due(now=END)
    line = invoice.lines.get(kind="usage")
    assert (line.amount, line.events_count, line.events_checksum) == (D(5), 500, 0)  # 7 of either hour, by XOR


def test_finalizing_a_draft_adds_one_history_entry(subscribed):
    [draft] = subscribed(1)
    later = END + timedelta(hours=2)
    finalize_due(now=later)
    entry = LogEntry.objects.get_for_object(draft).get()
    assert (entry.action, entry.object_repr, entry.actor) == (LogEntry.Action.UPDATE, "INV-000001", None)
    assert entry.changes["state"] == ["draft", "finalized"]
    assert entry.changes["number"] == [None, "INV-000001"]
    assert {"computed_at", "finalized_at", "due_at", "series"} <= set(entry.changes)
    assert not {"total", "updated_at"} & set(entry.changes)
    stored = Invoice.objects.get()
    assert (stored.computed_at, stored.updated_at > draft.updated_at) == (later, True)


def test_the_number_of_drafts_does_not_change_statement_count(subscribed):
    subscribed(2)
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert finalize_due(now=END) == 2
    subscribed(9)
    with CaptureQueriesContext(connection) as many:
        assert finalize_due(now=END) == 9
    assert len(many) <= len(few)


def test_each_batch_continues_after_the_one_before(subscribed, monkeypatch):
    monkeypatch.setattr(finalize, "BATCH", 2)
    drafts = subscribed(5)
    assert finalize_next(0, now=END) == (2, drafts[1].pk)
    assert finalize_next(drafts[1].pk, now=END) == (2, drafts[3].pk)
    assert finalize_next(drafts[3].pk, now=END) == (1, drafts[4].pk)
    assert finalize_next(drafts[4].pk, now=END) == (0, 0)
    assert [draft.number for draft in Invoice.objects.order_by("pk")] == [f"INV-00000{n}" for n in range(1, 6)]


def test_a_task_past_its_time_limit_enqueues_the_rest(subscribed, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(finalize, "BATCH", 2)
    drafts, asked = subscribed(3), []
    monkeypatch.setattr(jobs, "LONGEST_RUN_S", -1)
    monkeypatch.setattr(tasks.finalize_due, "apply_async", lambda args, **options: asked.append(args))
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.finalize_due() == 2
    assert asked == [(drafts[1].pk,)]
    monkeypatch.setattr(jobs, "LONGEST_RUN_S", 30)
    assert tasks.finalize_due(*asked[0]) == 1
    assert numbers() == ["INV-000001", "INV-000002", "INV-000003"]


def test_a_refused_draft_leaves_no_gap_in_the_numbers(db):
    drafts = [make_draft("7", finalize_at=END) for _ in range(4)]
    strange = make_draft("-5", currency="ZZZ", finalize_at=END)
    drafts += [make_draft("7", finalize_at=END) for _ in range(4)]
    assert finalize_due(now=END) == 8
    assert numbers() == [f"INV-00000{n}" for n in range(1, 9)]
    assert [Invoice.objects.get(pk=draft.pk).number for draft in drafts] == numbers()
    strange.refresh_from_db()
    assert (strange.state, strange.held_at) == ("draft", END)


def test_a_crash_at_any_statement_loses_and_duplicates_nothing(subscribed, calls, monkeypatch):
    monkeypatch.setattr(finalize, "BATCH", 3)
    drafts = subscribed(6)
    for draft in drafts:
        make_credit(draft.customer, 3)
        give(make_coupon(10), draft.customer)
    use(drafts[0].customer, calls, utc(2026, 9, 6), 100)
    number, done = 0, 0
    while done < len(drafts):
        number += 1
        with suppress(Crashed), transaction.atomic(), crash_at(number):
            done += finalize_next(0, now=END)[0]
        assert Invoice.objects.exclude(number=None).count() == done
        assert NumberSeries.objects.filter(next_number__gt=done + 1).count() == 0
    assert number > 30
    assert numbers() == [f"INV-00000{n}" for n in range(1, 7)]
    # $26 and five times $25, less a tenth, less $3 of credit.
    assert sorted(Invoice.objects.values_list("amount_due", flat=True)) == [D("19.5")] * 5 + [D("20.4")]
    assert [draft.customer.wallets.get().balance for draft in drafts] == [D(0)] * 6
    assert LogEntry.objects.get_for_objects(Invoice.objects.all()).count() == 6
