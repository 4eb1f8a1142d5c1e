"""The kinds of phases, when changes are invoiced and how customers are taxed, for models and code without Django."""

from config.enums import LabeledEnum


class PhaseKind(LabeledEnum):
    TRIAL = "trial", "Trial"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"


class ChangeInvoicing(LabeledEnum):
    """When a change that leaves something to pay is invoiced. A credit always goes on the next invoice."""

    IMMEDIATE = "immediate", "At once"
    NEXT_INVOICE = "next_invoice", "With the next invoice"


class TaxTreatment(LabeledEnum):
    TAXABLE = "taxable", "Taxable"
    EXEMPT = "exempt", "Exempt"
    REVERSE_CHARGE = "reverse_charge", "Reverse charge"
