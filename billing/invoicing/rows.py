"""Convert charges to the rows of invoices and back. Nothing else converts them."""

from collections.abc import Iterable

from billing.kinds import LineKind
from billing.lines import Charge
from billing.models import Invoice, InvoiceLine
from billing.money import ZERO
from config.db.bulk_insert import new_row

COPIED_COLUMNS = (
    *("kind", "feature_id", "price_id", "plan_version_id", "quantity", "free_units", "billable_quantity"),
    *("unit_amount", "amount", "exact_amount", "computation", "events_count", "events_checksum"),
    *("tax_included", "adjusts_id", "adjusts_invoice_id"),
)


def rows_of(invoice: Invoice, charges: Iterable[Charge], *, after: int = 0) -> list[InvoiceLine]:
    """Return the unsaved rows of charges in their order, with positions after a given one.

    Lines of discounts and taxes have no period of their own and get the invoice's.
    """
    return [_row(invoice, charge, position) for position, charge in enumerate(charges, start=after + 1)]


def _row(invoice: Invoice, charge: Charge, position: int) -> InvoiceLine:
    columns = {name: getattr(charge, name) for name in COPIED_COLUMNS}
    columns["invoice_id"], columns["position"] = invoice.pk, position
    columns["description"] = charge.description[:512]
    columns["discount_amount"], columns["tax_amount"] = charge.discount, charge.tax
    if charge.period is None:
        columns["period_start"], columns["period_end"] = invoice.period_start, invoice.period_end
    else:
        columns["period_start"], columns["period_end"] = charge.period.start, charge.period.end
    row = new_row(InvoiceLine, columns)
    if not invoice.pk:
        row.invoice = invoice  # its key is set once the invoice is saved
    return row


def charge_of(line: InvoiceLine) -> Charge:
    """Return a saved line as a charge, with the fields that discounts and taxes need."""
    return Charge(
        LineKind(line.kind),
        line.amount,
        line.description,
        feature_id=line.feature_id,
        plan_version_id=line.plan_version_id,
        discount_back=max(-line.discount_amount, ZERO),
    )
