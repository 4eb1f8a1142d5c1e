"""Errors of refused changes to invoices, payments and credit notes. Their messages are for the user."""

from config.refusals import Refused


class CannotChange(Refused):
    """The invoice's state doesn't allow this change."""


class MoneyAttached(CannotChange):
    """The invoice can't be voided because it has a payment or credit."""


class Corrected(MoneyAttached):
    """The invoice can't be voided because it has a credit note."""


class CannotPay(CannotChange):
    """The payment is invalid for the invoice's state, currency or amount due."""


class CannotCredit(CannotChange):
    """The credit note is invalid for its invoice, or its state doesn't allow this change."""


class CannotEmail(CannotChange):
    """The document can't be emailed, or not to these recipients."""


class CannotIssue(CannotChange):
    """The electronic invoice of the document can't be issued: something that its format requires is missing."""
