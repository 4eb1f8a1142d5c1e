"""The fee lines of subscriptions on all their invoices: what reduced an invoice's fee, and what adds up to a fee."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from billing.kinds import FEE_KINDS
from billing.models import Invoice, InvoiceLine, InvoiceState
from billing.proofs.rows import Json, text


class FeeLines:
    """All fee lines of some subscriptions. One query."""

    def __init__(self, subscription_ids: Collection[int]) -> None:
        self._by_fee: dict[tuple[int | None, int | None], list[InvoiceLine]] = defaultdict(list)
        lines = InvoiceLine.objects.filter(
            invoice__subscription__in=subscription_ids, kind__in=FEE_KINDS, period_start__isnull=False
        )
        for line in lines.select_related("invoice", "price").order_by("pk"):
            self._by_fee[line.invoice.subscription_id, line.price_id].append(line)

    def question(self, line: InvoiceLine) -> Json:
        """Ask for a line as it was calculated: less what invoices held that were live then."""
        return _ask(line, [other for other in self._of_fee(line) if was_live(other.invoice, line.invoice)])

    def rest_question(self, line: InvoiceLine) -> Json:
        """Ask what all live lines leave of the fee of the line's full period: nothing, if they add up to it."""
        return _ask(line, self.together(line))

    def together(self, line: InvoiceLine) -> list[InvoiceLine]:
        """List the live lines that add up to the fee of the line's full billing period."""
        return [
            other
            for other in self._of_fee(line)
            if other.invoice.state != InvoiceState.VOID and _full_period(other) == _full_period(line)
        ]

    def _of_fee(self, line: InvoiceLine) -> list[InvoiceLine]:
        return self._by_fee[line.invoice.subscription_id, line.price_id]


def _ask(line: InvoiceLine, held: Sequence[InvoiceLine]) -> Json:
    return {
        "price": line.price_id,
        "periods": 1 if line.price is None else line.price.periods,
        "at": _moment(line),
        "held": [[_moment(other), text(other.amount), text(other.discount_amount)] for other in held],
    }


def _moment(line: InvoiceLine) -> str:
    return (line.period_start or line.invoice.computed_at).isoformat()


def _full_period(line: InvoiceLine) -> str:
    period: str = line.computation.get("period", {}).get("from", "")
    return period


def was_live(other: Invoice, invoice: Invoice) -> bool:
    """Return whether another invoice existed, and wasn't void, when an invoice was calculated."""
    existed = other.pk < invoice.pk or other.computed_at < invoice.computed_at
    was_void = other.voided_at is not None and other.voided_at <= invoice.computed_at
    return other.pk != invoice.pk and existed and not was_void
