"""What clients of the API call the states and kinds of invoices. The one place of billing's translations."""

from billing.models import InvoiceKind, InvoiceState

INVOICE_STATUSES = {
    "DRAFT": (InvoiceState.DRAFT,),
    "FINALIZED": (InvoiceState.FINALIZED, InvoiceState.PAID),
    "VOIDED": (InvoiceState.VOID,),
}
PAYMENT_STATUSES = {
    "PENDING": (InvoiceState.DRAFT, InvoiceState.FINALIZED),
    "SUCCEEDED": (InvoiceState.PAID,),
    "VOIDED": (InvoiceState.VOID,),
}
REASONS = {
    InvoiceKind.OPENING: "SUBSCRIPTION_CREATE",
    InvoiceKind.CYCLE: "SUBSCRIPTION_CYCLE",
    InvoiceKind.FINAL: "SUBSCRIPTION_CANCEL",
    InvoiceKind.CHANGE: "SUBSCRIPTION_UPDATE",
    InvoiceKind.LATE: "SUBSCRIPTION_UPDATE",
    InvoiceKind.ONE_OFF: "MANUAL",
}
TYPES = ("SUBSCRIPTION", "ONE_OFF")


def type_of(kind: str) -> str:
    return "ONE_OFF" if kind == InvoiceKind.ONE_OFF else "SUBSCRIPTION"


def status_in(names: dict[str, tuple[InvoiceState, ...]], state: str) -> str:
    """Return what clients call a state."""
    return next(name for name, states in names.items() if state in states)
