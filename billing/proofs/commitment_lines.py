"""The commitments of subscriptions with the usage and the lines of all their invoices: what adds up to each term."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import F

from billing.kinds import IN_ADVANCE_KINDS, USAGE_KINDS, InvoiceKind, LineKind, ProofSubject
from billing.models import Invoice, InvoiceLine, InvoiceState
from billing.money import ZERO, money
from billing.proofs.asking import Answer
from billing.proofs.fee_lines import was_live
from billing.proofs.findings import Found
from billing.proofs.rows import Json, text
from customers.models import Commitment

type Key = tuple[int, str, datetime]  # commitment, part, start of the term


class CommitmentLines:
    """All usage and all lines of commitments of some subscriptions. Two queries at most."""

    def __init__(self, subscription_ids: Collection[int]) -> None:
        self._commitments: dict[int, list[Commitment]] = defaultdict(list)
        rows = Commitment.objects.filter(subscription__in=subscription_ids).exclude(ends_at=F("starts_at"))
        for row in rows.order_by("starts_at"):
            self._commitments[row.subscription_id].append(row)
        self._lines: dict[int, list[InvoiceLine]] = defaultdict(list)
        kinds = (*USAGE_KINDS, LineKind.COMMITMENT)
        lines = InvoiceLine.objects.filter(invoice__subscription__in=list(self._commitments), kind__in=kinds)
        for line in lines.select_related("invoice__subscription").order_by("pk") if self._commitments else ():
            self._lines[line.invoice.subscription_id or 0].append(line)

    def question(self, invoice: Invoice) -> Json | None:
        """Ask for an invoice's lines as they were calculated; None if its subscription had no commitment then."""
        rows = self._commitments[invoice.subscription_id or 0]
        known = [_write(row) for row in rows if row.recorded_at <= invoice.computed_at]
        if not known or invoice.period_start is None or invoice.period_end is None:
            return None
        others = [line for line in self._of(invoice) if was_live(line.invoice, invoice)]
        own_usage = [line for line in self._of(invoice) if line.invoice_id == invoice.pk and line.kind in USAGE_KINDS]
        is_in_advance = invoice.kind in IN_ADVANCE_KINDS
        until = invoice.period_start if is_in_advance else invoice.period_end
        return {
            "known": known,
            "until": until.isoformat(),
            "opening": invoice.kind == InvoiceKind.OPENING,
            "closes": None if is_in_advance else invoice.period_end.isoformat(),
            "final": invoice.kind == InvoiceKind.FINAL,
            "used": _write_usage([*others, *own_usage]),
            "held": _write_held(others),
        }

    def rest_question(self, invoice: Invoice) -> Json:
        """Ask what all live lines leave of all terms: nothing, if they add up."""
        live = [line for line in self._of(invoice) if line.invoice.state != InvoiceState.VOID]
        ends = [line.invoice.period_end for line in live if line.invoice.period_end is not None]
        closed = [
            line.invoice.period_end
            for line in live
            if line.invoice.period_end is not None and line.invoice.kind not in IN_ADVANCE_KINDS
        ]
        until = max(closed or [line.invoice.period_start or ends[0] for line in live])
        return {
            "known": [_write(row) for row in self._commitments[invoice.subscription_id or 0]],
            "until": until.isoformat(),
            "opening": not closed,
            "closes": max(closed).isoformat() if closed else None,
            "final": True,
            "used": _write_usage(live),
            "held": _write_held(live),
        }

    def _of(self, invoice: Invoice) -> list[InvoiceLine]:
        return self._lines[invoice.subscription_id or 0]


def compare_commitments(invoice: Invoice, lines: Sequence[InvoiceLine], answer: Answer) -> Iterator[Found]:
    """Yield the differences of an invoice's lines of commitments, and what it lacks of them."""
    calculated: dict[Key, Decimal] = {
        (number, part, datetime.fromisoformat(term)): Decimal(amount)
        for number, part, term, amount in answer.get("commitments", ())
    }
    stated: dict[Key, Decimal] = defaultdict(Decimal)
    for line in lines:
        stated[_key(line)] += line.amount
    for key in {**stated, **calculated}:
        amount, again = stated.get(key, ZERO), calculated.get(key, ZERO)
        if amount != again:
            _, part, term = key
            name = f"{invoice} · {part} of the term from {term:%Y-%m-%d}"
            texts = money(amount, invoice.currency), money(again, invoice.currency)
            yield Found(ProofSubject.INVOICE, invoice.pk, name, "Commitment", *texts)


def _key(line: InvoiceLine) -> Key:
    committed = line.computation["commitment"]
    return committed["id"], committed["part"], datetime.fromisoformat(committed["term"]["from"])


def _write(row: Commitment) -> Json:
    return {
        "number": row.pk,
        "kind": row.kind,
        "amount": text(row.amount),
        "factor": text(row.overage_factor),
        "periods": row.periods,
        "start": row.starts_at.isoformat(),
        "end": None if row.ends_at is None else row.ends_at.isoformat(),
    }


def _write_usage(lines: Iterable[InvoiceLine]) -> list[list[str | None]]:
    return [
        [line.period_start.isoformat(), text(line.amount)]
        for line in lines
        if line.kind in USAGE_KINDS and line.period_start is not None
    ]


def _write_held(lines: Iterable[InvoiceLine]) -> list[list[int | str | None]]:
    return [
        [number, part, term.isoformat(), line.invoice.period_end.isoformat(), text(line.amount)]
        for line in lines
        if line.kind == LineKind.COMMITMENT and line.invoice.period_end is not None
        for number, part, term in [_key(line)]
    ]
