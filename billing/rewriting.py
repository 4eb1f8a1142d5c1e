"""Writes locked drafts anew: lines only where something changed, the invoices' own rows in one statement."""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from billing.invoicing import Computed, invoice_rows, write_uses
from billing.late.carrying import move_aside, take_over
from billing.lines import COMPUTED_KINDS, LATE_USAGE
from billing.models import Invoice, InvoiceLine
from billing.totals import forget_uses, save_parts, set_totals
from config.audit import record_changes
from config.db.bulk_insert import copy_in
from config.db.bulk_update import update_in

type Before = Mapping[int, Invoice]
KEYS = ("id", "public_id")


def as_they_are(invoices: Sequence[Invoice]) -> Before:
    """Keep invoices as they are now, by their keys, to tell later what changed."""
    return {invoice.pk: copy(invoice) for invoice in invoices}


def save_changed(invoices: Sequence[Invoice], before: Before) -> None:
    """Write what changed on locked invoices since `as_they_are`, in two statements, the history's among them."""
    pairs = [(before[invoice.pk], invoice) for invoice in invoices]
    columns = {
        field.attname
        for field in Invoice._meta.concrete_fields
        if any(getattr(was, field.attname) != getattr(now, field.attname) for was, now in pairs)
    }
    if columns:
        update_in(invoices, {*columns, "updated_at"})
        record_changes(pairs)


def write_again(found: Sequence[tuple[Invoice, Computed]], kept: Mapping[int, Sequence[InvoiceLine]]) -> None:
    """Set what locked drafts come to now, and write their lines; those of a draft whose lines are the same stay.

    The drafts themselves are saved by the caller. `kept` are lines of theirs that stay, brought up to date.
    """
    drafts = [draft for draft, _ in found]
    written = _computed_lines(drafts)
    changed: list[tuple[Invoice, Computed]] = []
    rows: list[list[InvoiceLine]] = []
    for draft, computed in found:
        set_totals(draft, computed.adjusted)
        fresh = invoice_rows(draft, computed)
        if not _are_the_same(written.get(draft.pk, []), fresh):
            changed.append((draft, computed))
            rows.append(fresh)
    if changed:
        old = InvoiceLine.objects.filter(invoice__among=[draft.pk for draft, _ in changed], kind__in=COMPUTED_KINDS)
        old.exclude(kind=LATE_USAGE).delete()
        carried = move_aside(old)
        copy_in([row for own in rows for row in own])
        take_over([computed.lines for _, computed in changed], rows)
        carried.delete()
    forget_uses(drafts)
    save_parts([line for draft in drafts for line in kept.get(draft.pk, [])])
    write_uses(found)


def _computed_lines(drafts: Sequence[Invoice]) -> dict[int, list[InvoiceLine]]:
    found: dict[int, list[InvoiceLine]] = {}
    lines = InvoiceLine.objects.filter(invoice__among=[draft.pk for draft in drafts], kind__in=COMPUTED_KINDS)
    for line in lines.order_by("invoice", "position"):
        found.setdefault(line.invoice_id, []).append(line)
    return found


def _are_the_same(written: Sequence[InvoiceLine], fresh: Sequence[InvoiceLine]) -> bool:
    """Tell whether lines say the same, their proofs too. Late usage is always written anew: adjustments hang on it."""
    if len(written) != len(fresh) or any(line.kind == LATE_USAGE for line in (*written, *fresh)):
        return False
    return all(_says(old) == _says(new) for old, new in zip(written, fresh, strict=True))


def _says(line: InvoiceLine) -> dict[str, Any]:
    says = {field.attname: getattr(line, field.attname) for field in line._meta.concrete_fields}
    says["computation"] = json.loads(json.dumps(line.computation))  # as the database gives it back
    return {name: value for name, value in says.items() if name not in KEYS}
