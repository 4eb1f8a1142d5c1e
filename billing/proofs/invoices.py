"""Prove invoices: every line is calculated again by the independent rater, and so are discounts, taxes and totals."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain

from billing.kinds import ADJUSTMENT_KINDS, FEE_KINDS, LineKind, ProofSubject
from billing.models import Invoice, InvoiceLine, InvoiceState
from billing.money import currency_places, round_amount
from billing.proofs.asking import Answer, Question, Rater, RaterStopped
from billing.proofs.commitment_lines import CommitmentLines, compare_commitments
from billing.proofs.comparing import (
    compare_fee,
    compare_item,
    compare_late_line,
    compare_totals,
    compare_usage,
    leaves_rest,
)
from billing.proofs.fee_lines import FeeLines
from billing.proofs.feeding import events_for
from billing.proofs.findings import Findings, Found, not_proved
from billing.proofs.rows import Json, SubscriptionRows, coupon_uses, text, write_coupon, write_tax
from billing.proofs.stated_usage import PeriodKey, StatedUsage, charges_usage, load_stated_usage
from customers.kinds import TaxTreatment
from events.ledger.retention import ledger_horizon

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class PeriodResult:
    """What the proof of a billed period's usage found, by price. Prices without usage are missing."""

    found: dict[int, list[Found]] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    is_waiting: bool = False


class InvoiceProofs:
    """Proves some invoices, whose rows are read at once. Void invoices are left out: they charge nothing."""

    def __init__(self, invoice_ids: Collection[int], rater: Rater) -> None:
        rows = Invoice.objects.filter(pk__in=invoice_ids).exclude(state=InvoiceState.VOID)
        self._rater = rater
        self._invoices = list(rows.select_related("subscription", "customer").order_by("pk"))
        self._lines: dict[int, list[InvoiceLine]] = defaultdict(list)
        lines = InvoiceLine.objects.filter(invoice__in=self._invoices).select_related(
            "invoice__subscription", "late_adjustment"
        )
        for line in lines.order_by("position"):
            self._lines[line.invoice_id].append(line)
        subscription_ids = {invoice.subscription_id for invoice in self._invoices if invoice.subscription_id}
        self._subscriptions = SubscriptionRows(subscription_ids)
        self._fee_lines = FeeLines(subscription_ids)
        self._commitment_lines = CommitmentLines(subscription_ids)
        self._uses = coupon_uses([invoice.pk for invoice in self._invoices])
        self._stated = load_stated_usage(self._invoices, chain.from_iterable(self._lines.values()))
        self._horizon = ledger_horizon()
        self._periods: dict[PeriodKey, PeriodResult] = {}

    def prove(self) -> Findings:
        """Prove all of them. An invoice at which the rater stops is a difference, and the next one is proved."""
        findings = Findings()
        for invoice in self._invoices:
            try:
                findings.join(self._prove_by_any(invoice))
            except RaterStopped as error:
                findings.add([not_proved(ProofSubject.INVOICE, invoice.pk, str(invoice), str(error))])
        return findings

    def _prove_by_any(self, invoice: Invoice) -> Findings:
        """Prove an invoice by the phases known when it was calculated, else by those of a change at that moment.

        A change takes its time before it waits for a lock, and so does billing: which of them came first isn't stored.
        """
        result = self._prove_invoice(invoice, invoice.computed_at)
        if not result.differing:
            return result
        for moment in self._subscriptions.moments_near(invoice.subscription_id, invoice.computed_at):
            other = self._prove_invoice(invoice, moment)
            if not other.differing:
                return other
        return self._prove_invoice(invoice, invoice.computed_at)

    def _prove_invoice(self, invoice: Invoice, known_at: datetime) -> Findings:
        findings = Findings()
        lines = self._lines[invoice.pk]
        charges = [line for line in lines if line.kind not in ADJUSTMENT_KINDS]
        fees = [line for line in charges if line.kind in FEE_KINDS and line.price_id is not None]
        usage = self._stated.get(key) if (key := own_period(invoice)) is not None else None
        answer, skipped = self._ask(self._question(invoice, charges, fees, usage, known_at), invoice)
        if usage is not None and key is not None:
            self._periods[key] = _period_result(usage, answer, skipped)
        for line in charges:
            self._prove_line(line, invoice, fees, answer, findings)
        self._prove_commitments(invoice, charges, answer, findings)
        differences = list(compare_totals(invoice, charges, answer))
        findings.add(differences, checked=max(len(lines) - len(charges), len(differences[:1])))
        if key is not None:
            self._add_missing(self._periods[key], charges, findings)
        return findings

    def _prove_line(
        self, line: InvoiceLine, invoice: Invoice, fees: list[InvoiceLine], answer: Answer, findings: Findings
    ) -> None:
        found: list[Found] = []
        is_waiting = False
        if line in fees:
            found = self._prove_fee(line, answer["fees"][fees.index(line)] if "fees" in answer else None)
        elif line.kind in (LineKind.USAGE, LineKind.TRUE_UP):
            result, price_id = self._periods.get(own_period(invoice) or (0, invoice.computed_at)), line.price_id or 0
            if result is not None:
                found, is_waiting = _of_line(result, line, price_id)
        elif line.kind == LineKind.LATE_USAGE:
            found, is_waiting = self._prove_late(line, invoice)
        elif line.kind == LineKind.ITEM:
            found = compare_item(line, invoice.currency)
        elif line.kind == LineKind.COMMITMENT:
            return  # proved together
        if is_waiting:
            findings.checked += 1
            findings.waiting += 1
        else:
            findings.add(found)

    def _prove_commitments(
        self, invoice: Invoice, charges: Sequence[InvoiceLine], answer: Answer, findings: Findings
    ) -> None:
        """Prove an invoice's lines of commitments, or else all live lines together, as those of fees are."""
        lines = [line for line in charges if line.kind == LineKind.COMMITMENT]
        found = list(compare_commitments(invoice, lines, answer))
        if found and invoice.subscription_id is not None:
            subscription = self._subscriptions.as_known(invoice.subscription_id, FOREVER)
            question = {"subscription": subscription, "commitments": self._commitment_lines.rest_question(invoice)}
            rest, _ = self._ask(question, invoice)
            found = found if "commitments" not in rest or rest["commitments"] else []
        findings.add(found, checked=max(len(lines), len(found[:1])))

    def _prove_fee(self, line: InvoiceLine, answer: Answer | None) -> list[Found]:
        """Prove a fee line alone, or else all lines of the fee's period together.

        Drafts that are calculated together take each other into account, in an order that isn't stored. So only the
        sum of a fee's lines is certain, not how they divide it: by the phases known then, or by those known today, if
        an invoice is dated before it was calculated.
        """
        found = compare_fee(line, answer)
        if not found or line.invoice.subscription_id is None:
            return found
        known_at = max(other.invoice.computed_at for other in [line, *self._fee_lines.together(line)])
        return [] if self._adds_up(line, known_at) or self._adds_up(line, FOREVER) else found

    def _adds_up(self, line: InvoiceLine, known_at: datetime) -> bool:
        """Return whether all live lines of a fee's period add up to what is due by the phases known at a moment."""
        subscription = self._subscriptions.as_known(line.invoice.subscription_id or 0, known_at)
        question = {"subscription": subscription, "fees": [self._fee_lines.rest_question(line)]}
        rest, _ = self._ask(question, line.invoice)
        return not leaves_rest(rest)

    def _prove_late(self, line: InvoiceLine, invoice: Invoice) -> tuple[list[Found], bool]:
        """Prove a late-usage line: what its adjustment says, and the whole period that it corrects."""
        found = compare_late_line(line)
        key = (invoice.subscription_id or 0, line.period_start or invoice.computed_at)
        if key not in self._periods:
            self._periods[key] = self._prove_period(self._stated[key], invoice)
        in_period, is_waiting = _of_line(self._periods[key], line, line.price_id or 0)
        return found + in_period, is_waiting and not found

    def _prove_period(self, usage: StatedUsage, invoice: Invoice) -> PeriodResult:
        if usage.is_void:
            return PeriodResult(is_waiting=True)
        known_at = usage.known_at(invoice.computed_at)
        result = self._prove_period_as_known(usage, invoice, known_at)
        moments = self._subscriptions.moments_near(usage.subscription_id, known_at) if result.found else []
        others = (self._prove_period_as_known(usage, invoice, moment) for moment in moments)
        return next((other for other in others if not other.found), result)

    def _prove_period_as_known(self, usage: StatedUsage, invoice: Invoice, known_at: datetime) -> PeriodResult:
        question = {
            "subscription": self._subscriptions.as_known(usage.subscription_id, known_at),
            "period": _span(usage.start, usage.end),
        }
        return _period_result(usage, *self._ask(question, invoice))

    def _ask(self, question: Question, invoice: Invoice) -> tuple[Answer, set[int]]:
        """Return the answer, and the features whose events retention has removed in part."""
        needs = self._rater.needs(question)
        skipped = {
            need["feature"]
            for need in needs
            if self._horizon is not None and datetime.fromisoformat(need["start"]) < self._horizon
        }
        needs = [need for need in needs if need["feature"] not in skipped]
        answer = self._rater.answer(events_for(invoice.usage_customer_id, needs))
        features = {
            price["price"]: price["feature"]
            for version in question.get("subscription", {}).get("versions", {}).values()
            for price in version["usage"]
        }
        return answer, {price for price, feature in features.items() if feature in skipped}

    def _question(
        self,
        invoice: Invoice,
        charges: Sequence[InvoiceLine],
        fees: list[InvoiceLine],
        usage: StatedUsage | None,
        known_at: datetime,
    ) -> Question:
        question: Question = {"totals": self._write_totals(invoice, charges, fees)}
        if invoice.subscription_id is not None:
            question["subscription"] = self._subscriptions.as_known(invoice.subscription_id, known_at)
            question["fees"] = [self._fee_lines.question(line) for line in fees]
            committed = self._commitment_lines.question(invoice)
            if committed is not None:
                question["commitments"] = committed
        if usage is not None:
            question["period"] = _span(usage.start, usage.end)
        return question

    def _write_totals(self, invoice: Invoice, charges: Sequence[InvoiceLine], fees: list[InvoiceLine]) -> Json:
        taxes = [line for line in self._lines[invoice.pk] if line.kind == LineKind.TAX]
        return {
            "places": currency_places(invoice.currency),
            "charges": [
                {
                    "kind": line.kind,
                    "amount": text(line.amount),
                    "feature": line.feature_id,
                    "version": line.plan_version_id,
                    "fee": fees.index(line) if line in fees else None,
                    "discount_back": text(_late_discount_back(line)),
                }
                for line in charges
            ],
            "coupons": [write_coupon(use) for use in self._uses[invoice.pk]],
            "taxes": [write_tax(line) for line in taxes],
            "reversed": invoice.tax_treatment == TaxTreatment.REVERSE_CHARGE,
        }

    def _add_missing(self, result: PeriodResult, charges: Sequence[InvoiceLine], findings: Findings) -> None:
        """Add what the rater charges and no line of the invoice does."""
        known = {line.price_id for line in charges}
        missing = [
            found for price_id, differences in result.found.items() if price_id not in known for found in differences
        ]
        if missing:
            findings.add(missing)


def own_period(invoice: Invoice) -> PeriodKey | None:
    """Return the period whose usage an invoice charges; None for fees in advance, settlements and one-off invoices."""
    if not charges_usage(invoice) or invoice.subscription_id is None or invoice.period_start is None:
        return None
    return invoice.subscription_id, invoice.period_start


def _of_line(result: PeriodResult, line: InvoiceLine, price_id: int) -> tuple[list[Found], bool]:
    """Return a period's differences of a line's price, named by the line, and whether they can't be known yet."""
    if result.is_waiting or price_id in result.waiting:
        return [], True
    return [
        Found(
            ProofSubject.LINE,
            line.pk,
            f"{line.invoice} · {line.description}"[:255],
            found.figure,
            found.stated,
            found.calculated,
        )
        for found in result.found.get(price_id, ())
    ], False


def _period_result(usage: StatedUsage, answer: Answer, skipped: set[int]) -> PeriodResult:
    result = PeriodResult(waiting=set(skipped), is_waiting=usage.is_pending or usage.is_void)
    for price_id, found, is_waiting in compare_usage(usage, answer):
        if is_waiting:
            result.waiting.add(price_id)
        elif found:
            result.found[price_id] = found
    return result


def _late_discount_back(line: InvoiceLine) -> Decimal | None:
    adjustment = getattr(line, "late_adjustment", None)
    return None if adjustment is None else round_amount(adjustment.discount_back, line.invoice.currency)


def _span(start: datetime, end: datetime) -> Json:
    return {"start": start.isoformat(), "end": end.isoformat()}
