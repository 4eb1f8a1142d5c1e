"""The API's names for billing's states, kinds and reasons."""

from billing.models import ADJUSTMENTS, CreditNoteState, CreditReason, InvoiceKind, InvoiceState, PaymentMethod

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
CREDIT_NOTE_STATES = {
    "DRAFT": CreditNoteState.DRAFT,
    "FINALIZED": CreditNoteState.FINALIZED,
    "VOIDED": CreditNoteState.VOID,
}
CREDIT_REASONS = {reason.value.upper(): reason for reason in CreditReason}
PAYMENT_METHODS = {
    "OFFLINE": PaymentMethod.OTHER,
    "BANK_TRANSFER": PaymentMethod.BANK_TRANSFER,
    "CARD": PaymentMethod.CARD,
    "DIRECT_DEBIT": PaymentMethod.DIRECT_DEBIT,
    "CHEQUE": PaymentMethod.CHEQUE,
    "CASH": PaymentMethod.CASH,
    "CREDITS": PaymentMethod.WALLET,
    "WRITE_OFF": PaymentMethod.WRITE_OFF,
    "BANK_CHARGE": PaymentMethod.BANK_CHARGE,
}
MONEY_METHODS = {name: method for name, method in PAYMENT_METHODS.items() if method not in ADJUSTMENTS}
ADJUSTMENT_METHODS = {name: method for name, method in PAYMENT_METHODS.items() if method in ADJUSTMENTS}
TYPES = ("SUBSCRIPTION", "ONE_OFF")


def type_of(kind: str) -> str:
    return "ONE_OFF" if kind == InvoiceKind.ONE_OFF else "SUBSCRIPTION"


def status_in(names: dict[str, tuple[InvoiceState, ...]], state: str) -> str:
    """Return the API's name for a state."""
    return next(name for name, states in names.items() if state in states)
