"""Compare what billing states with what the rater answers. Amounts must be equal; quantities to twenty decimals."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billing.charges.late_items import NOTHING, Figures
from billing.kinds import ProofSubject
from billing.models import Invoice, InvoiceLine
from billing.money import ZERO, exact, money, round_amount
from billing.proofs.asking import Answer
from billing.proofs.findings import Found
from billing.proofs.stated_usage import StatedUsage
from config.numbers import number

# Averages have endless digits, which billing and the rater cut off in different places.
NEARLY = Decimal(1).scaleb(-20)
TOTALS = (
    ("Subtotal", "subtotal", "subtotal"),
    ("Discounts", "discount_total", "discount"),
    ("Tax", "tax_total", "tax"),
    ("Tax included", "tax_included", "tax_included"),
    ("Total", "total", "total"),
)
PARTS = (
    ("Discount", "discount_amount", "discount"),
    ("Tax", "tax_amount", "tax"),
    ("Tax included", "tax_included", "tax_included"),
)


def line_name(line: InvoiceLine) -> str:
    return f"{line.invoice} · {line.description}"[:255]


def compare_fee(line: InvoiceLine, answer: Answer | None) -> list[Found]:
    if answer is None:
        return [
            Found(ProofSubject.LINE, line.pk, line_name(line), "Amount", money(line.amount, line.invoice.currency), "")
        ]
    return _amount(line, "Amount", line.amount, Decimal(answer["amount"]))


def leaves_rest(answer: Answer) -> bool:
    """Return whether the lines of a fee's period don't add up to what is due."""
    return "fees" not in answer or Decimal(answer["fees"][0]["amount"]) != 0


def compare_item(line: InvoiceLine, currency: str) -> list[Found]:
    """Compare an entered charge with its quantity × unit amount; one that was entered as a total has no unit amount."""
    if line.unit_amount is None:
        return []
    with exact():
        product = line.quantity * line.unit_amount
    return _amount(line, "Amount", line.amount, round_amount(product, currency))


def compare_late_line(line: InvoiceLine) -> list[Found]:
    """Compare a late-usage line with the adjustment that it charges."""
    adjustment = getattr(line, "late_adjustment", None)
    if adjustment is None:
        return []
    return _amount(line, "Amount", line.amount, adjustment.amount_after - adjustment.amount_before)


def compare_totals(invoice: Invoice, charges: Sequence[InvoiceLine], answer: Answer) -> Iterator[Found]:
    """Yield the differences of an invoice's totals, and of its charges' parts of discounts and taxes."""
    totals = answer.get("totals")
    if totals is None:
        yield Found(ProofSubject.INVOICE, invoice.pk, str(invoice), "Calculation", "", answer.get("error", "no answer"))
        return
    for label, stated, calculated in TOTALS:
        amount, again = getattr(invoice, stated), Decimal(totals[calculated])
        if amount != again:
            texts = money(amount, invoice.currency), money(again, invoice.currency)
            yield Found(ProofSubject.INVOICE, invoice.pk, str(invoice), label, *texts)
    for line, parts in zip(charges, totals["charges"], strict=True):
        for label, stated, calculated in PARTS:
            yield from _amount(line, label, getattr(line, stated), Decimal(parts[calculated]))


def compare_usage(usage: StatedUsage, answer: Answer) -> Iterator[tuple[int, list[Found], bool]]:
    """Yield each price of a period with its differences, and whether these only mean that a draft is out of date."""
    if "usage" not in answer:
        return
    again = {line["price"]: line for line in answer["usage"]}
    for price_id in sorted({*again, *usage.figures}):
        stated = usage.figures.get(price_id, NOTHING)
        calculated = _figures(again[price_id]) if price_id in again else NOTHING
        if stated.events != calculated.events or stated.checksum != calculated.checksum:
            found = [_of_period(usage, "Events", number(Decimal(stated.events)), number(Decimal(calculated.events)))]
            yield price_id, found, usage.is_draft
        else:
            yield price_id, list(_compare_figures(usage, price_id, stated, calculated)), False


def _compare_figures(usage: StatedUsage, price_id: int, stated: Figures, calculated: Figures) -> Iterator[Found]:
    amounts = stated.amount - usage.credited.get(price_id, ZERO), calculated.amount
    if amounts[0] != amounts[1]:
        yield _of_period(usage, "Amount", *(money(amount, usage.currency) for amount in amounts))
    for name in ("quantity", "free", "billable"):
        before, after = getattr(stated, name), getattr(calculated, name)
        if abs(before - after) > NEARLY:
            yield _of_period(usage, name.capitalize(), number(before), number(after))


def _figures(line: Answer) -> Figures:
    with exact():
        amount = Decimal(line["amount"]) + Decimal(line["missing"])
    quantity, free, billable = (Decimal(line[name]) for name in ("quantity", "free", "billable"))
    return Figures(quantity, free, billable, amount, line["events"], line["checksum"])


def _of_period(usage: StatedUsage, figure: str, stated: str, calculated: str) -> Found:
    """Name a difference by the period's invoice; for a line it is named again by the line."""
    invoice = usage.invoice
    if invoice is None:
        return Found(
            ProofSubject.CUSTOMER, usage.customer_id, f"Period from {usage.start:%Y-%m-%d}", figure, stated, calculated
        )
    return Found(ProofSubject.INVOICE, invoice.pk, str(invoice), figure, stated, calculated)


def _amount(line: InvoiceLine, label: str, stated: Decimal, calculated: Decimal) -> list[Found]:
    if stated == calculated:
        return []
    currency = line.invoice.currency
    return [
        Found(ProofSubject.LINE, line.pk, line_name(line), label, money(stated, currency), money(calculated, currency))
    ]
