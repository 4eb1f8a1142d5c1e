"""An invoice as text for a terminal. Each line shows its calculation, so that it can be checked by hand."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from textwrap import wrap
from typing import Any

from billing.models import Invoice, InvoiceLine, LineKind, status_of
from billing.money import format_amount, format_price
from billing.wording import dates
from config.numbers import number
from customers.periods import INSTANT, Period

WIDTH = 96
AMOUNT_WIDTH = 16


def format_invoice(invoice: Invoice, *, now: datetime) -> str:
    """Format an invoice and its lines as text, 96 characters wide, with dates in the subscription's time zone."""
    lines = [*_format_head(invoice, now), "", *_format_lines(invoice), *_format_totals(invoice)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _format_head(invoice: Invoice, now: datetime) -> Iterator[str]:
    yield "═" * WIDTH
    title = f"Invoice {invoice.number}" if invoice.number else "Invoice (draft)"
    yield _align(title, str(status_of(invoice, now).label).upper())
    billed_to = invoice.billed_to or {"name": invoice.customer.name, "external_id": invoice.customer.external_id}
    yield f"{billed_to['name']} ({billed_to['external_id']})"
    if invoice.period_start is not None and invoice.period_end is not None:
        period = Period(invoice.period_start, max(invoice.period_end, invoice.period_start + INSTANT))
        zone = invoice.timezone
        yield f"{invoice.get_kind_display()}, {dates(period, zone)} ({zone})"
    if invoice.issued_on is not None and invoice.due_on is not None:
        yield f"Issued {invoice.issued_on}, due {invoice.due_on}"
    yield "═" * WIDTH


def _format_lines(invoice: Invoice) -> Iterator[str]:
    for line in invoice.lines.all():
        first_line, *more_lines = wrap(line.description, WIDTH - AMOUNT_WIDTH - 2)
        yield _align(first_line, format_amount(line.amount, invoice.currency))
        yield from more_lines
        yield from (f"    {step}" for step in explain_line(line, invoice.currency))
        yield ""


def _format_totals(invoice: Invoice) -> Iterator[str]:
    yield "─" * WIDTH
    rows: list[tuple[str, Decimal]] = [("Subtotal", invoice.subtotal)]
    rows += [("Discounts", -invoice.discount_total)] if invoice.discount_total else []
    rows += [("Tax", invoice.tax_total)] if invoice.tax_total else []
    rows += [("Total", invoice.total)]
    rows += [("Prepaid credits", -invoice.credits_applied)] if invoice.credits_applied else []
    for label, amount in rows:
        yield _align("", f"{label:>16} {format_amount(amount, invoice.currency):>{AMOUNT_WIDTH}}")
    yield _align("", f"{'Amount due':>16} {format_amount(invoice.amount_due, invoice.currency):>{AMOUNT_WIDTH}}")
    yield "═" * WIDTH


def explain_line(line: InvoiceLine, currency: str) -> list[str]:
    """List the steps of a line's calculation: free units, conversion, tiers, days, rounding, events."""
    computation = line.computation
    if "late" in computation:
        return list(_explain_late(line, computation, currency))
    steps = [*_explain_free_units(line, computation), *_explain_conversion(line, computation)]
    steps += [_explain_tier(part, currency, computation.get("package")) for part in computation.get("tiers", [])]
    days = computation.get("days")
    share = f" × {days['charged']}/{days['of']} days" if days and days["charged"] != days["of"] else ""
    if "fee" in computation and share:
        fee = format_price(Decimal(computation["fee"]), currency)
        units = f"{number(Decimal(computation['quantity']))} × " if "quantity" in computation else ""
        steps.append(f"{units}{fee}{share}")
    if "minimum" in computation:
        minimum, due = (_format_exact_price(computation[key], currency) for key in ("minimum", "due"))
        steps.append(f"minimum of {minimum} per period{share and f'{share} = {due}'}")
    if "invoiced_before" in computation:
        due, before = (_format_exact_price(computation[key], currency) for key in ("due", "invoiced_before"))
        steps.append(f"{due} due, less {before} invoiced before")
    steps += [
        f"{part['line']}: -{_format_exact_price(part['amount'], currency)}"
        for part in computation.get("discount", {}).get("by_line", [])
    ]
    if "less" in computation:
        less = computation["less"]
        amount = format_amount(Decimal(less["amount"]), currency)
        units = f"{number(Decimal(less['quantity']))} = " if line.kind == LineKind.USAGE else ""
        steps.append(f"less the amount already charged for the period: {units}{amount}")
    if line.exact_amount != line.amount:
        exact = number(line.exact_amount.quantize(Decimal("1e-12")))
        steps.append(f"exactly {exact}, rounded to {format_amount(line.amount, currency)}")
    if line.events_count is not None:
        events = "1 event" if line.events_count == 1 else f"{line.events_count:,} events"
        steps.append(f"counted from {events}")
    return steps


def _explain_late(line: InvoiceLine, computation: dict[str, Any], currency: str) -> Iterator[str]:
    """Explain a late-usage line: the figures charged before, and how those of its whole period are recalculated."""
    before, after = computation["late"]["before"], computation["late"]["after"]
    for name, side in (("charged before", before), ("recalculated", after)):
        amount = format_amount(Decimal(side["amount"]), currency)
        free = f", {number(Decimal(side['free']))} of it free" if Decimal(side["free"]) else ""
        yield f"{name}: {number(Decimal(side['quantity']))}{free} = {amount}"
    for recalculated in computation["again"]:
        package, parts = recalculated["computation"].get("package"), recalculated["computation"].get("tiers", [])
        yield from (f"  {_explain_tier(part, currency, package)}" for part in parts)
        if recalculated["kind"] == LineKind.TRUE_UP:
            yield f"  minimum commitment: {format_amount(Decimal(recalculated['amount']), currency)}"
    yield f"counted from {int(after['events']):,} events instead of {int(before['events']):,}"


def _format_exact_price(amount: str, currency: str) -> str:
    """Format an unrounded amount with up to twelve decimals, without trailing zeros."""
    return format_price(Decimal(amount).quantize(Decimal("1e-12")), currency)


def _explain_free_units(line: InvoiceLine, computation: dict[str, Any]) -> Iterator[str]:
    if computation.get("reset") == "cumulative":
        yield "cumulative: the running total since the start, charged every period"
    free = computation.get("free")
    if not free:
        return
    resets = {"period": "each billing period", "daily": "each day", "weekly": "each week", "monthly": "each month"}
    frequency = resets.get(free["reset"], "once per subscription")
    if free["units"] == "unlimited":
        yield "free: unlimited"
        return
    yield f"free: {number(Decimal(free['units']))} {frequency}, {number(line.free_units)} used on this line"
    for window in computation.get("windows", []):
        if "before" in window:
            yield f"used before: {number(Decimal(window['before']['quantity']))}"


def _explain_conversion(line: InvoiceLine, computation: dict[str, Any]) -> Iterator[str]:
    conversion = computation.get("conversion")
    if conversion:
        rounding = "" if conversion["rounding"] == "none" else f", rounded {conversion['rounding'].replace('_', ' ')}"
        yield (
            f"priced quantity: {number(line.quantity - line.free_units)} × {conversion['multiply_by']}"
            f" ÷ {conversion['divide_by']}{rounding} = {number(line.billable_quantity)}"
        )


def _explain_tier(part: dict[str, Any], currency: str, package: dict[str, Any] | None) -> str:
    """Explain one step of the rating: tier, quantity, price and amount."""
    quantity, unit_amount = number(Decimal(part["quantity"])), format_price(Decimal(part["unit_amount"]), currency)
    amount = format_price(Decimal(part["amount"]), currency)
    flat = Decimal(part["flat_amount"])
    if part["kind"] == "cap":
        return f"capped at {format_price(Decimal(part['cap']), currency)}: {amount}"
    if part["kind"] == "flat":
        return f"flat {amount}"
    if part["kind"] == "packages" and package:
        return f"{quantity} of {number(Decimal(package['size']))} each × {unit_amount} = {amount}"
    rate = f"{number(Decimal(part['rate_percent']))}%" if "rate_percent" in part else unit_amount
    plus = f" + flat {format_price(flat, currency)}" if flat else ""
    product = f"{quantity} × {rate}{plus} = {amount}"
    if "tier" not in part:
        return product
    up_to = "without limit" if part["to"] is None else f"up to {number(Decimal(part['to']))}"
    return f"tier {part['tier']}, over {number(Decimal(part['from']))} {up_to}: {product}"


def _align(label: str, amount: str) -> str:
    return f"{label}{amount:>{WIDTH - len(label)}}"
