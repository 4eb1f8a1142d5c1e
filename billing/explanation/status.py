"""The colors of invoices' statuses, the same in every list and on every page."""

from billing.models import InvoiceStatus

INVOICE_COLORS = {
    InvoiceStatus.DRAFT: "",
    InvoiceStatus.OPEN: "info",
    InvoiceStatus.PARTLY_PAID: "warning",
    InvoiceStatus.OVERDUE: "danger",
    InvoiceStatus.PAID: "success",
    InvoiceStatus.VOID: "",
}
