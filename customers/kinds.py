"""Kinds of phases, commitments and taxes, times and formats of invoices: for models and code without Django."""

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


class EInvoiceFormat(LabeledEnum):
    """The electronic invoice that a customer gets beside or inside the PDF. All follow EN 16931."""

    FACTUR_X = "factur_x", "Factur-X / ZUGFeRD (XML inside the PDF)"
    XRECHNUNG = "xrechnung", "XRechnung (XML)"
    PEPPOL = "peppol", "Peppol BIS Billing 3.0 (XML)"


class TaxCategory(LabeledEnum):
    """The category of VAT on an electronic invoice: UNTDID 5305, as EN 16931 limits it."""

    STANDARD = "S", "Standard or reduced rate"
    ZERO = "Z", "Zero rate"
    EXEMPT = "E", "Exempt"
    REVERSE_CHARGE = "AE", "Reverse charge"
    INTRA_COMMUNITY = "K", "Intra-Community supply"
    EXPORT = "G", "Export outside the EU"
    OUT_OF_SCOPE = "O", "Outside the scope of VAT"


# The categories of invoices on which no tax is charged.
UNTAXED_CATEGORIES = tuple(category for category in TaxCategory if category != TaxCategory.STANDARD)
