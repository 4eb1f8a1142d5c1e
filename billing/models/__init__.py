from billing.models.invoices import Invoice, InvoiceKind, InvoiceLine, InvoiceState, LineKind, NumberSeries
from billing.models.runs import BillingRun, BillingState, RunChunk, RunKind, RunState

__all__ = [
    "BillingRun",
    "BillingState",
    "Invoice",
    "InvoiceKind",
    "InvoiceLine",
    "InvoiceState",
    "LineKind",
    "NumberSeries",
    "RunChunk",
    "RunKind",
    "RunState",
]
