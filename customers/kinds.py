"""Kinds of phases and commitments, times of invoices, and tax treatments: for models and code without Django."""

from config.enums import LabeledEnum


class PhaseKind(LabeledEnum):
    TRIAL = "trial", "Trial"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"


class ChangeInvoicing(LabeledEnum):
    """When a change that leaves something to pay is invoiced. A credit always goes on the next invoice."""

    IMMEDIATE = "immediate", "At once"
    NEXT_INVOICE = "next_invoice", "With the next invoice"


class CommitmentKind(LabeledEnum):
    """When a commitment of a whole subscription is invoiced."""

    MINIMUM = "minimum", "Minimum: a shortfall is charged at the end of the term"
    PREPAID = "prepaid", "Prepaid: invoiced at the start of the term, then usage draws on it"
    THRESHOLD = "threshold", "Threshold: only usage above the amount has another price"


class TaxTreatment(LabeledEnum):
    TAXABLE = "taxable", "Taxable"
    EXEMPT = "exempt", "Exempt"
    REVERSE_CHARGE = "reverse_charge", "Reverse charge"
