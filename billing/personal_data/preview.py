"""What an erasure erases, what it keeps, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import QuerySet

from billing.models import CompanyProfile
from billing.personal_data.blockers import list_blockers
from billing.personal_data.external_ids import is_personal
from billing.personal_data.owned import public_ids_of, rows_of
from billing.personal_data.retention import kept_until
from config.personal_data.entries import entries_about
from config.personal_data.tables import ALIASES, AT_ONCE, CUSTOMER, KEPT
from config.webhooks.models import WebhookMessage
from customers.models import Customer
from events.models import Event

MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what is stored: how many rows, why it is erased or kept, and until when. `is_more` says "or more"."""

    title: str
    count: int | None
    why: str
    until: date | None = None
    is_more: bool = False

    @property
    def rows(self) -> str:
        """The number of rows in words: "12", "10,000 or more", or a dash if they aren't counted."""
        if self.count is None:
            return "–"
        return f"{self.count:,} or more" if self.is_more else f"{self.count:,}"


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be erased and kept, and what must be done before."""

    blockers: list[str]
    erased: list[Part]
    kept: list[Part]


def preview_erasure(customer: Customer, *, now: datetime) -> Preview:
    """Describe the erasure of a customer's personal data. Changes nothing."""
    return Preview(
        list_blockers(customer, now=now), list(_list_erased(customer)), [*_list_kept(customer), *_list_proofs(customer)]
    )


def _list_erased(customer: Customer) -> Iterator[Part]:
    why = "Not needed after the last invoice."
    for table in (CUSTOMER, ALIASES, *AT_ONCE):
        if part := _count(table.title, rows_of(table, customer.pk), why):
            yield part
    events = Event.objects.filter(customer=customer)
    if part := _count("Event properties", events, "Except the values that usage is counted from."):
        yield part
    log = entries_about(customer.pk)
    if part := _count("Personal values in the change log", log, "Their key is destroyed. Entries and chain stay."):
        yield part
    messages = WebhookMessage.objects.filter(object_id__in=public_ids_of(customer))
    if part := _count("Webhook messages about the customer's objects", messages, "Copies of what is erased."):
        yield part
    why = "Copies, too. They have the customer's ID, and are searched for when they are erased."
    yield Part("Other webhook messages, stored responses and refused requests", None, why)
    if is_personal(customer):
        yield Part("External ID", 1, "It contains a word of the name or email address. It is replaced, also in events.")


def _list_kept(customer: Customer) -> Iterator[Part]:
    years, until = CompanyProfile.current().retention_years, kept_until(customer.pk)
    why = f"Required by tax law for {years} years after the end of the year. Then erased automatically."
    for table in KEPT:
        if part := _count(table.title, rows_of(table, customer.pk), why, until):
            yield part


def _list_proofs(customer: Customer) -> Iterator[Part]:
    yield Part("Event IDs, names and times, and the counted values", None, "They prove the usage on invoices.")
    yield Part("Numbers, dates and amounts of invoices, payments and credit", None, "The company's books.")
    if not is_personal(customer):
        yield Part("External ID", 1, "The customer's number in your systems, under which events were sent.")


def _count(title: str, rows: QuerySet[Any], why: str, until: date | None = None) -> Part | None:
    count = rows.order_by()[: MOST_COUNTED + 1].count()
    return Part(title, min(count, MOST_COUNTED), why, until, count > MOST_COUNTED) if count else None
