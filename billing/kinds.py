"""The kinds of invoices, lines, coupons and proofs, for calculations, which don't import Django, and for models."""

from config.enums import LabeledEnum


class InvoiceKind(LabeledEnum):
    OPENING = "opening", "Subscription start"
    CYCLE = "cycle", "Billing period"
    CHANGE = "change", "Subscription change"
    FINAL = "final", "Subscription end"
    LATE = "late", "Late usage"
    ONE_OFF = "one_off", "One-off"


# Invoices of fees in advance only. They don't close the usage of their period.
IN_ADVANCE_KINDS = (InvoiceKind.OPENING, InvoiceKind.CHANGE)


class LineKind(LabeledEnum):
    FEE = "fee", "Recurring fee"
    USAGE = "usage", "Usage"
    TRUE_UP = "true_up", "Minimum commitment"
    COMMITMENT = "commitment", "Commitment of the subscription"
    PRORATION = "proration", "Proration"
    LATE_USAGE = "late_usage", "Late usage"
    CREDIT = "credit", "Credit"
    DISCOUNT = "discount", "Discount"
    TAX = "tax", "Tax"
    ITEM = "item", "Item"


FEE_KINDS = (LineKind.FEE, LineKind.PRORATION)
USAGE_KINDS = (LineKind.USAGE, LineKind.TRUE_UP, LineKind.LATE_USAGE)
ADJUSTMENT_KINDS = (LineKind.DISCOUNT, LineKind.TAX)
COMPUTED_KINDS = (*FEE_KINDS, *USAGE_KINDS, LineKind.COMMITMENT, *ADJUSTMENT_KINDS)


class CommitmentPart(LabeledEnum):
    """What a line of a subscription's commitment charges."""

    PREPAYMENT = "prepayment", "Prepaid for the term"
    DRAWDOWN = "drawdown", "Usage that is prepaid"
    OVERAGE = "overage", "Another price of usage above the amount"
    TRUE_UP = "true_up", "Shortfall at the end of the term"


class CouponScope(LabeledEnum):
    """Which charges a coupon reduces."""

    EVERYTHING = "everything", "The whole invoice"
    FEES = "fees", "Recurring fees"
    USAGE = "usage", "Usage"
    CHOSEN = "chosen", "Selected features, and fees of selected plans"


class ProofKind(LabeledEnum):
    """What is proved every night."""

    USAGE = "usage", "Usage counted again from events"
    LINES = "lines", "Invoice lines recalculated"
    RECEIVABLES = "receivables", "Invoices and payments added up"
    WALLETS = "wallets", "Prepaid credit added up"
    NUMBERS = "numbers", "Numbers without gaps"
    CHANGE_LOG = "change_log", "Change log intact"
    RECONCILIATION = "reconciliation", "All events accounted for"
    LEDGER = "ledger", "Ledger intact"
    BACKUP = "backup", "Last backup restored"


class ProofSubject(LabeledEnum):
    """The kind of object that differs."""

    INVOICE = "invoice", "Invoice"
    LINE = "line", "Invoice line"
    USAGE = "usage", "Hour of usage"
    WALLET = "wallet", "Wallet"
    GRANT = "grant", "Grant"
    ENTRY = "entry", "Credit transaction"
    SERIES = "series", "Number series"
    CREDIT_NOTE = "credit_note", "Credit note"
    CHANGE = "change", "Change log entry"
    CUSTOMER = "customer", "Customer"
    MONTH = "month", "Month"
    BACKUP = "backup", "Backup"
    PART = "part", "Part of a proof"
    EVENT = "event", "Event"
    SEALED_PART = "sealed_part", "Sealed events"


def list_proof_kinds() -> list[tuple[str, str]]:
    """Return the choices of the column, to which migrations refer instead of listing them."""
    return ProofKind.choices


def list_proof_subjects() -> list[tuple[str, str]]:
    """Return the choices of the column, to which migrations refer instead of listing them."""
    return ProofSubject.choices
