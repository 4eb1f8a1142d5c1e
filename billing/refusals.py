"""What is refused of invoices, payments and credit notes. Every text is a sentence for the person who asked."""

from config.refusals import Refused


class CannotChange(Refused):
    """The invoice isn't in a state that allows this."""


class MoneyAttached(CannotChange):
    """The invoice can't be voided: money was paid on it, or credited."""


class Corrected(MoneyAttached):
    """The invoice can't be voided: a credit note corrects it."""


class CannotPay(CannotChange):
    """The payment doesn't fit the invoice: its state, its currency, or what is left to pay."""


class CannotCredit(CannotChange):
    """The credit note doesn't fit its invoice, or isn't in a state that allows this."""
