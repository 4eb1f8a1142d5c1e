"""An invoice as text, for a terminal: every line with what it was computed from, so that it can be checked by hand."""

from collections.abc import Iterator
from decimal import Decimal
from textwrap import wrap
from typing import Any

from billing.models import Invoice, InvoiceLine, LineKind
from billing.money import format_amount, format_price
from billing.wording import dates
from config.numbers import number
from customers.periods import INSTANT, Period

WIDTH = 96
AMOUNT_WIDTH = 16


def print_invoice(invoice: Invoice) -> str:
    """Write an invoice and its lines as text, 96 characters wide, dates in the subscription's time zone."""
    lines = [*_head(invoice), "", *_body(invoice), *_foot(invoice)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(invoice: Invoice) -> Iterator[str]:
    yield "═" * WIDTH
    title = f"Invoice {invoice.number}" if invoice.number else "Invoice (draft)"
    yield _sides(title, invoice.get_state_display().upper())
    billed_to = invoice.billed_to or {"name": invoice.customer.name, "external_id": invoice.customer.external_id}
    yield f"{billed_to['name']} ({billed_to['external_id']})"
    if invoice.period_start is not None and invoice.period_end is not None:
        period = Period(invoice.period_start, max(invoice.period_end, invoice.period_start + INSTANT))
        zone = timezone_of(invoice)
        yield f"{invoice.get_kind_display()}, {dates(period, zone)} ({zone})"
    if invoice.issued_at is not None and invoice.due_at is not None:
        yield f"Issued {invoice.issued_at:%Y-%m-%d}, due {invoice.due_at:%Y-%m-%d}"
    yield "═" * WIDTH


def _body(invoice: Invoice) -> Iterator[str]:
    for line in invoice.lines.all():
        first, *rest = wrap(line.description, WIDTH - AMOUNT_WIDTH - 2)
        yield _sides(first, format_amount(line.amount, invoice.currency))
        yield from rest
        yield from (f"    {step}" for step in explain(line, invoice.currency))
        yield ""


def _foot(invoice: Invoice) -> Iterator[str]:
    yield "─" * WIDTH
    rows: list[tuple[str, Decimal]] = [("Subtotal", invoice.subtotal)]
    rows += [("Discounts", -invoice.discount_total)] if invoice.discount_total else []
    rows += [("Tax", invoice.tax_total)] if invoice.tax_total else []
    rows += [("Total", invoice.total)]
    rows += [("Prepaid credits", -invoice.credits_applied)] if invoice.credits_applied else []
    for label, amount in rows:
        yield _sides("", f"{label:>16} {format_amount(amount, invoice.currency):>{AMOUNT_WIDTH}}")
    yield _sides("", f"{'Amount due':>16} {format_amount(invoice.amount_due, invoice.currency):>{AMOUNT_WIDTH}}")
    yield "═" * WIDTH


def timezone_of(invoice: Invoice) -> str:
    """Name the time zone that the invoice's days are counted in."""
    return invoice.subscription.timezone if invoice.subscription is not None else invoice.customer.timezone


def explain(line: InvoiceLine, currency: str) -> list[str]:
    """Say step by step how a line's amount came about: free units, conversion, tiers, days, rounding, events."""
    how = line.computation
    if "late" in how:
        return list(_late(line, how, currency))
    said = [*_free(line, how), *_conversion(line, how)]
    said += [_part(part, currency, how.get("package")) for part in how.get("tiers", [])]
    if "fee" in how and how["days"]["charged"] != how["days"]["of"]:
        fee = format_price(Decimal(how["fee"]), currency)
        several = f"{number(Decimal(how['quantity']))} × " if "quantity" in how else ""
        said.append(f"{several}{fee} × {how['days']['charged']}/{how['days']['of']} days")
    if "minimum" in how:
        minimum, due = (exact_price(how[key], currency) for key in ("minimum", "due"))
        days = f" × {how['days']['charged']}/{how['days']['of']} days = {due}"
        said.append(f"committed to {minimum} a period{days if how['days']['charged'] != how['days']['of'] else ''}")
    if "invoiced_before" in how:
        due, before = (exact_price(how[key], currency) for key in ("due", "invoiced_before"))
        said.append(f"{due} due, less {before} invoiced before")
    said += [
        f"{part['line']}: -{exact_price(part['amount'], currency)}"
        for part in how.get("discount", {}).get("by_line", [])
    ]
    if "less" in how:
        less = how["less"]
        amount = format_amount(Decimal(less["amount"]), currency)
        units = f"{number(Decimal(less['quantity']))} = " if line.kind == LineKind.USAGE else ""
        said.append(f"less what the period came to before: {units}{amount}")
    if line.exact_amount != line.amount:
        exact = number(line.exact_amount.quantize(Decimal("1e-12")))
        said.append(f"exactly {exact}, rounded once to {format_amount(line.amount, currency)}")
    if line.events_count is not None:
        events = "1 event" if line.events_count == 1 else f"{line.events_count:,} events"
        said.append(f"counted from {events}, checksum {checksum(line.events_checksum)}")
    return said


def _late(line: InvoiceLine, how: dict[str, Any], currency: str) -> Iterator[str]:
    """Say what a late line corrects: what was charged before, and how its period comes to what it does now."""
    before, after = how["late"]["before"], how["late"]["after"]
    for name, side in (("charged before", before), ("worked out anew", after)):
        amount = format_amount(Decimal(side["amount"]), currency)
        free = f", {number(Decimal(side['free']))} of it free" if Decimal(side["free"]) else ""
        yield f"{name}: {number(Decimal(side['quantity']))}{free} = {amount}"
    for again in how["again"]:
        package, parts = again["computation"].get("package"), again["computation"].get("tiers", [])
        yield from (f"  {_part(part, currency, package)}" for part in parts)
        if again["kind"] == LineKind.TRUE_UP:
            yield f"  minimum commitment: {format_amount(Decimal(again['amount']), currency)}"
    yield (
        f"counted from {int(after['events']):,} events instead of {int(before['events']):,};"
        f" checksum of those that came or went {checksum(line.events_checksum)}"
    )


def exact_price(amount: str, currency: str) -> str:
    """Write an unrounded amount for people: to twelve places, without the zeros at the end."""
    return format_price(Decimal(amount).quantize(Decimal("1e-12")), currency)


def checksum(value: int | None) -> str:
    """Write a checksum as 16 hexadecimal digits."""
    return f"{(value or 0) & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def _free(line: InvoiceLine, how: dict[str, Any]) -> Iterator[str]:
    if how.get("reset") == "cumulative":
        yield "cumulative: the running total of all time, charged every period"
    free = how.get("free")
    if not free:
        return
    resets = {"period": "each billing period", "daily": "each day", "weekly": "each week", "monthly": "each month"}
    when = resets.get(free["reset"], "once, for the subscription's whole life")
    if free["units"] == "unlimited":
        yield "free: unlimited"
        return
    yield f"free: {number(Decimal(free['units']))} {when}, {number(line.free_units)} used here"
    for window in how.get("windows", []):
        if "before" in window:
            yield f"used of it before: {number(Decimal(window['before']['quantity']))}"


def _conversion(line: InvoiceLine, how: dict[str, Any]) -> Iterator[str]:
    conversion = how.get("conversion")
    if conversion:
        rounding = "" if conversion["rounding"] == "none" else f", rounded {conversion['rounding'].replace('_', ' ')}"
        yield (
            f"priced quantity: {number(line.quantity - line.free_units)} × {conversion['multiply_by']}"
            f" ÷ {conversion['divide_by']}{rounding} = {number(line.billable_quantity)}"
        )


def _part(part: dict[str, Any], currency: str, package: dict[str, Any] | None) -> str:
    """Write one step of a rating: which tier, how many, at what price, what it comes to."""
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
    says = f"{quantity} × {rate}{plus} = {amount}"
    if "tier" not in part:
        return says
    upto = "without end" if part["to"] is None else f"up to {number(Decimal(part['to']))}"
    return f"tier {part['tier']}, over {number(Decimal(part['from']))} {upto}: {says}"


def _sides(left: str, right: str) -> str:
    return f"{left}{right:>{WIDTH - len(left)}}"
