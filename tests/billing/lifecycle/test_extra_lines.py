"""Extra lines on subscriptions' drafts: added and removed by people, kept when the draft is calculated again."""

import pytest

from billing.explanation.proof import prove
from billing.lifecycle.extra_lines import preview_extra_lines, set_extra_lines
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.one_off import Item, amend, create_one_off
from billing.lifecycle.recompute import recompute
from billing.lifecycle.void import reissue
from billing.models import LineKind
from billing.refusals import CannotChange
from config.audit import changes_of
from config.personal_data.entries import read_entry
from tests.billing.adjusting import make_tax
from tests.billing.late import arrive
from tests.billing.world import D, bill, lines, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
MARCH, APRIL, LATER = utc(2026, 3, 1), utc(2026, 4, 1), utc(2026, 4, 3)
SETUP = Item("Setup", D(250), D(2))
REBATE = Item("Goodwill", D(-20))


@pytest.fixture
def draft():
    """March's draft of two API calls at $5: $10."""
    calls = make_feature(event_name="api.calls", name="API calls")
    customer = make_customer(external_id="acme")
    version = make_version({"feature": calls, "unit_amount": D(5)})
    make_subscription(customer=customer, plan=version, starts_at=MARCH)
    arrive(utc(2026, 3, 5), utc(2026, 3, 6))
    [invoice] = bill(APRIL)
    return invoice


def test_extra_lines_are_added_to_the_calculated_ones_and_taxed(draft):
    make_tax(20, of=draft.customer)
    assert preview_extra_lines(draft, [SETUP, REBATE], now=LATER) == D(588)
    changed = set_extra_lines(draft, [SETUP, REBATE], now=LATER, by=None)
    assert (changed.subtotal, changed.tax_total, changed.total) == (D(490), D(98), D(588))
    assert {("Setup", D(500)), ("Goodwill", D(-20))} < set(lines(changed))


def test_recalculating_and_finalizing_keep_extra_lines_and_the_proof_of_usage(draft):
    set_extra_lines(draft, [SETUP], now=LATER, by=None)
    arrive(utc(2026, 3, 7))
    assert recompute(draft, now=LATER).total == D(515)
    invoice = finalize(draft, now=LATER)
    assert (invoice.total, invoice.lines.filter(kind=LineKind.ITEM).count()) == (D(515), 1)
    assert prove(invoice.lines.get(kind=LineKind.USAGE)).agrees


def test_the_same_extra_lines_twice_are_charged_once_and_none_remove_them(draft):
    for _ in range(2):
        assert set_extra_lines(draft, [SETUP], now=LATER, by=None).total == D(510)
    assert set_extra_lines(draft, [], now=LATER, by=None).total == D(10)


def test_extra_lines_memo_and_po_number_are_in_the_history_with_their_author(draft):
    by = make_user()
    set_extra_lines(draft, [SETUP], now=LATER, by=by)
    amend(draft, memo="Thank you", po_number="PO 4711", now=LATER, by=by)
    entries = map(read_entry, changes_of([draft]).filter(actor=by))
    changes = [change for entry in entries for change in entry.changes_dict.items()]
    assert ("extra lines", ["", "Setup $500.00"]) in changes
    assert ("po_number", ["", "PO 4711"]) in changes
    assert ("memo", ["", "Thank you"]) in changes


def test_a_finalized_invoice_and_a_one_off_get_no_extra_lines(draft):
    one_off = create_one_off(draft.customer, [SETUP], currency="USD", now=LATER, by=None)
    with pytest.raises(CannotChange, match="Change its items instead"):
        set_extra_lines(one_off, [REBATE], now=LATER, by=None)
    invoice = finalize(draft, now=LATER)
    with pytest.raises(CannotChange, match="only a draft's lines can change"):
        set_extra_lines(invoice, [SETUP], now=LATER, by=None)


def test_a_reissued_draft_keeps_what_people_added_and_waits_for_a_person(draft):
    set_extra_lines(draft, [SETUP, REBATE], now=LATER, by=None)
    amend(draft, memo="Thank you", po_number="PO 4711", now=LATER, by=None)
    replacement = reissue(finalize(draft, now=LATER), reason="Wrong address", by=None, now=LATER)
    assert (replacement.total, replacement.memo, replacement.po_number) == (D(490), "Thank you", "PO 4711")
    assert finalize_due(now=utc(2027, 1, 1)) == 0
    assert recompute(replacement, now=LATER).total == D(490)
    assert finalize(replacement, now=LATER).number == "INV-000002"
