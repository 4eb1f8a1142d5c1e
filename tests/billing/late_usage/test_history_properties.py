"""In any history of a customer's invoices, in any order, usage is charged once in the end."""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Q, Sum
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from billing.explanation.proof import prove
from billing.invoicing.upcoming import upcoming
from billing.late_usage.decisions import approve, ignore, reopen_ignored
from billing.lifecycle.finalize import finalize, finalize_due
from billing.lifecycle.void import reissue, void
from billing.models import CreditNote, Invoice, InvoiceLine, InvoiceState, LateAdjustment, LatePolicy, Wallet
from billing.runs.billing_run import bill_subscriptions
from billing.runs.billing_states import parked, refresh_states
from billing.runs.late_usage import bill_ended, credit_reductions
from billing.settlement.credit_notes import (
    draft_credit_note,
    finalize_credit_note,
    list_creditable_lines,
    void_credit_note,
)
from billing.settlement.payments import pay_remaining_amount
from config.refusals import Refused
from customers.models import Subscription
from customers.subscriptions import cancel, change_plan, pause, resume
from events.ledger.voiding import void_event
from events.models import Event, EventState
from tests.billing.late import work_late
from tests.billing.world import D, bill, lines, utc
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

SEPTEMBER = utc(2026, 9, 1)
DAY = timedelta(days=1)
NUMBERS = st.integers(0, 9)
STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 60), st.integers(1, 9)),
    st.tuples(st.just("send"), st.integers(0, 60), st.integers(1, 9)),
    st.tuples(st.just("take_away"), NUMBERS),
    st.tuples(st.just("half_a_month")),
    st.tuples(st.just("half_a_month")),
    st.tuples(st.just("wait"), st.integers(1, 25)),
    st.tuples(st.sampled_from(["bill", "finalize", "work_late", "pause", "resume", "approve", "ignore"])),
    st.tuples(st.just("finalize_replacements")),
    st.tuples(st.sampled_from(["void", "reissue", "pay", "uncredit"]), NUMBERS),
    st.tuples(st.just("credit"), NUMBERS, st.integers(1, 4)),
    st.tuples(st.just("change"), st.sampled_from(["basic", "pro"])),
    st.tuples(st.just("end"), st.integers(0, 80)),
    st.tuples(st.just("end_and_bill"), st.integers(0, 6)),
)
POLICIES = st.sampled_from([("next_invoice", "next_invoice"), ("hold", "hold"), ("next_invoice", "credit_note")])


@dataclass
class Story:
    """A customer to whom all of it happens, and one of the same subscription who is billed once, in the end."""

    plans: dict[str, Any]
    busy: Subscription
    prompt: Subscription
    now: datetime = SEPTEMBER
    sent: list[tuple[datetime, int]] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)

    def play(self, step):
        """Do a step, unless it is refused."""
        name, *given_ = step
        with suppress(Refused), transaction.atomic():
            getattr(self, name)(*given_)

    def send(self, days_ago, n):
        at = max(self.now - days_ago * DAY, SEPTEMBER) + timedelta(minutes=len(self.sent))
        send(customer="busy", at=at, event_id=f"busy-{len(self.sent)}", n=n)
        self.sent.append((at, n))
        process()

    def take_away(self, no):
        self.gone |= {no} if no < len(self.sent) else set()
        for event in Event.objects.filter(event_id=f"busy-{no}").exclude(state=EventState.VOIDED):
            void_event(event, reason="A mistake", now=self.now)

    def wait(self, days):
        self.now += days * DAY

    def half_a_month(self):
        self.wait(15)
        self.bill()
        self.finalize()
        self.work_late()

    def bill(self):
        """Bill what is due: exactly what was shown as coming."""
        shown = upcoming(self.busy.pk, now=self.now).earlier
        known = set(self.busy.invoices.values_list("pk", flat=True))
        refresh_states()
        bill_subscriptions([self.busy.pk], as_of=self.now)
        assert list(parked().values_list("parked_reason", flat=True)) == []
        made = self.busy.invoices.exclude(pk__in=known).order_by("pk")
        assert [lines(each) for each in made] == [
            [(line.description, line.amount) for line in each.lines] for each in shown
        ]

    def finalize(self):
        finalize_due(now=self.now)

    def finalize_replacements(self):
        """Finalize drafts that replace void invoices, as a person does: they are never finalized automatically."""
        for draft in self.busy.invoices.filter(state=InvoiceState.DRAFT).exclude(replaces=None).order_by("pk"):
            finalize(draft, now=self.now)

    def work_late(self):
        work_late(self.now)
        credit_reductions(now=self.now)
        bill_ended(now=self.now)

    def invoice(self, no) -> Invoice:
        found = self.busy.invoices.exclude(state=InvoiceState.DRAFT).order_by("pk")[no : no + 1].first()
        if found is None:
            raise Refused("There is none yet.")
        return found

    def void(self, no):
        void(self.invoice(no), reason="Wrong", by=None, now=self.now)

    def reissue(self, no):
        reissue(self.invoice(no), reason="Wrong", by=None, now=self.now)

    def pay(self, no):
        pay_remaining_amount(self.invoice(no), now=self.now, by=None)

    def credit(self, no, part):
        invoice = self.invoice(no)
        amounts = {each.line.pk: (each.remaining / part).quantize(D("0.01")) for each in list_creditable_lines(invoice)}
        note = draft_credit_note(invoice, amounts, reason="billing_error", by=None)
        finalize_credit_note(note, now=self.now, by=None)

    def uncredit(self, no):
        for note in CreditNote.objects.order_by("pk")[no : no + 1]:
            void_credit_note(note, reason="Wrong", now=self.now, by=None)

    def change(self, plan):
        self.both(lambda each: change_plan(each, self.plans[plan], at=self.now, now=self.now, by=None))

    def pause(self):
        self.both(lambda each: pause(each, at=self.now, now=self.now, by=None))

    def resume(self):
        self.both(lambda each: resume(each, at=self.now, now=self.now, by=None))

    def end(self, days):
        """Move the end to a moment that isn't billed yet, by a clock that is slow enough for that."""
        slow = min(self.now, self.busy.ended_at - DAY) if self.busy.ended_at else self.now
        self.both(lambda each: cancel(each, at=self.now + days * DAY, now=slow, by=None, reason="Agreed"))

    def end_and_bill(self, days):
        self.end(days)
        self.wait(days)
        self.bill()

    def both(self, change):
        for subscription in (self.busy, self.prompt):
            subscription.refresh_from_db()
            change(subscription)
            subscription.refresh_from_db()

    def approve(self):
        approve(LateAdjustment.objects.values_list("pk", flat=True), by=None, now=self.now)

    def ignore(self):
        ignore(LateAdjustment.objects.values_list("pk", flat=True), reason="Let go", by=None, now=self.now)

    def settle(self):
        """Bring all to its end: void invoices replaced, late usage approved, everything billed and finalized."""
        reopen_ignored(LateAdjustment.objects.values_list("pk", flat=True), by=None, now=self.now)
        for _ in range(3):
            for invoice in self.busy.invoices.filter(state=InvoiceState.VOID, replaced_by=None).order_by("pk"):
                with suppress(Refused), transaction.atomic():
                    reissue(invoice, reason="Wrong", by=None, now=self.now)
            self.finalize()
            self.finalize_replacements()
            self.work_late()
            self.approve()
            self.work_late()
            self.wait(31)
            self.bill()
            self.finalize()
        for no in set(range(len(self.sent))) - self.gone:
            at, n = self.sent[no]
            send(customer="prompt", at=at, event_id=f"prompt-{no}", n=n)
        process()
        bill(self.now)

    def is_comparable(self) -> bool:
        """Tell whether nothing was given away: no credit note by hand, and no void invoice without a replacement."""
        notes = CreditNote.objects.exclude(state="void").filter(late_adjustment=None)
        void_ones = self.busy.invoices.filter(state=InvoiceState.VOID, replaced_by=None)
        return not notes.exists() and not void_ones.exists()


def begin(more_due, less_due, *, story: type[Story] = Story) -> Story:
    LatePolicy.objects.create(more_due=more_due, less_due=less_due)
    calls, tokens = make_feature(name="Calls"), make_feature(name="Tokens", field="n")
    platform = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30), "name": "Platform"}
    support = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": D(6), "name": "Support"}
    volume = {"feature": tokens, "model": "volume", "tiers": [(10, D("0.50")), (None, D("0.20"))]}
    graduated = {"feature": calls, "model": "graduated", "tiers": [(2, D(2)), (None, D(1))]}
    plans = {
        "basic": make_version(
            platform, support, {"feature": calls, "unit_amount": D(1)}, volume, free_units={calls: 2}
        ),
        "pro": make_version(platform, graduated, free_units={calls: 1}),
    }
    begun = {"plan": plans["basic"], "starts_at": SEPTEMBER, "now": SEPTEMBER}
    busy, prompt = (make_subscription(customer=make_customer(external_id=name), **begun) for name in ("busy", "prompt"))
    return story(plans, busy, prompt)


def charged(subscription) -> dict[str, Decimal]:
    """Add up what live invoices charge, less credit notes, by feature."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    live = InvoiceLine.objects.filter(invoice__subscription=subscription).exclude(invoice__state=InvoiceState.VOID)
    credited = Sum("credit_note_lines__amount", filter=~Q(credit_note_lines__credit_note__state="void"))
    for line in live.select_related("feature").annotate(credited=credited):
        found[line.feature.name if line.feature else "Fees"] += line.amount - (line.credited or 0)
    return {name: amount for name, amount in found.items() if amount}


def check_books():
    """Numbers have no gap, wallets hold the sum of their movements, and no void invoice carries late usage."""
    numbers = Invoice.objects.exclude(number=None).values_list("number", flat=True)
    assert sorted(int(number[-6:]) for number in numbers) == list(range(1, len(numbers) + 1))
    for wallet in Wallet.objects.annotate(moved=Sum("entries__amount")):
        assert wallet.balance == wallet.moved >= 0
    assert not LateAdjustment.objects.filter(line__invoice__state=InvoiceState.VOID).exists()


def check_proofs(subscription):
    """Check that every line of usage proves itself, or that what differs is known."""
    live = InvoiceLine.objects.filter(invoice__subscription=subscription).exclude(invoice__state=InvoiceState.VOID)
    for line in live.filter(kind__in=("usage", "late_usage")):
        proof = prove(line)
        # On a credit note, or of no money, waiting for an invoice that an ended subscription doesn't get.
        known = known_adjustments(line, proof).filter(Q(state="credited") | Q(state="waiting", amount=0))
        assert proof.agrees or proof.corrected_by or known.exists(), line.description


def known_adjustments(line, proof):
    """Filter to the adjustments of a usage line, or to those that leave a late line's period at the recounted figures.

    The adjustments of a late line's period adjust the usage line of the period's invoice, not the late line.
    """
    if line.kind == "usage":
        return LateAdjustment.objects.filter(adjusts=line)
    recounted = {finding.name: finding.recounted for finding in proof.findings}
    return LateAdjustment.objects.filter(
        subscription=line.invoice.subscription_id,
        price=line.price_id,
        period_start=line.period_start,
        quantity_after=recounted["Quantity"],
        checksum_after=int(recounted["Checksum"]),
        amount_after=recounted["Amount"],
    )


@pytest.mark.slow
@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(POLICIES, st.lists(STEPS, min_size=12, max_size=40))
@example(
    ("next_invoice", "credit_note"),  # a late line, reduced later by a credit note on the period's own invoice
    [
        *[("send", 5, 9), ("send", 17, 4), ("end_and_bill", 1), ("half_a_month",)],
        *[("send", 60, 6), ("half_a_month",), ("take_away", 1)],
    ],
)
def test_invoices_charge_usage_once_in_any_history(policy, steps):
    with transaction.atomic():
        story = begin(*policy)
        for step in steps:
            story.play(step)
            check_books()
        story.settle()
        check_books()
        if story.is_comparable():
            assert charged(story.busy) == charged(story.prompt)
            check_proofs(story.busy)
        transaction.set_rollback(True)
