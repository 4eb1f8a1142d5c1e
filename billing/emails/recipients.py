"""Who gets a customer's emails."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from billing.refusals import CannotEmail
from customers.models import Customer
from customers.models.customers import MOST_RECIPIENTS


@dataclass(frozen=True, slots=True)
class Recipients:
    """Addresses of an email. There is at least one in `to`, and none twice."""

    to: list[str]
    cc: list[str]


def recipients_of(customer: Customer) -> Recipients:
    """Return who gets the customer's emails. Raises `CannotEmail` if no one does."""
    check_receives(customer)
    to = customer.email_to or [customer.email]
    return choose_recipients(customer, to, customer.email_cc)


def choose_recipients(customer: Customer, to: Sequence[str], cc: Sequence[str]) -> Recipients:
    """Return the addresses without spaces and repeats. Raises `CannotEmail` for invalid ones, or if `to` is empty."""
    check_receives(customer)
    main = clean_addresses(to)
    if not main:
        raise CannotEmail(f"{customer} has no email address. Add one on the customer's page.")
    copies = [address for address in clean_addresses(cc) if address.lower() not in {each.lower() for each in main}]
    return Recipients(main, copies)


def check_receives(customer: Customer) -> None:
    """Raise `CannotEmail` unless the customer may be emailed."""
    if customer.erased_at is not None:
        raise CannotEmail("The customer's personal data was erased, so the customer gets no emails.")
    if not customer.receives_email:
        raise CannotEmail(f"Emails are turned off for {customer}.")


def clean_addresses(addresses: Sequence[str]) -> list[str]:
    """Return the addresses without spaces and repeats. Raises `CannotEmail` for an invalid one, or for too many.

    A line break is invalid in an address, so that an address can't add a header to an email.
    """
    cleaned = {address.strip().lower(): address.strip() for address in addresses if address.strip()}
    for address in cleaned.values():
        try:
            validate_email(address)
        except ValidationError as error:
            raise CannotEmail(f"{address[:100]!r} isn't an email address.") from error
    if len(cleaned) > MOST_RECIPIENTS:
        raise CannotEmail(f"An email has at most {MOST_RECIPIENTS} recipients.")
    return list(cleaned.values())
