"""The kinds of a subscription's phases and how customers are taxed, for models and for code without Django."""

from config.enums import LabeledEnum


class PhaseKind(LabeledEnum):
    TRIAL = "trial", "Trial"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"


class TaxTreatment(LabeledEnum):
    TAXABLE = "taxable", "Taxable"
    EXEMPT = "exempt", "Exempt"
    REVERSE_CHARGE = "reverse_charge", "Reverse charge"
