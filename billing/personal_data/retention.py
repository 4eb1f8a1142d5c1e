"""How long the law requires issued documents and payments to be kept, and until when a customer's are."""

from datetime import UTC, date, datetime

from django.db.models import Max

from billing.models import CompanyProfile, CreditNote, Invoice, Payment


def end_of_retention(at: datetime, years: int) -> date:
    """Return the first day on which a document may be erased: some years after the end of the document's year.

    >>> end_of_retention(datetime(2026, 3, 5, tzinfo=UTC), 10)
    datetime.date(2037, 1, 1)
    """
    return date(at.astimezone(UTC).year + years + 1, 1, 1)


def kept_until(customer_id: int) -> date | None:
    """Return the day from which nothing of a customer's documents is kept; None if the customer has none."""
    newest = [
        Invoice.objects.filter(customer_id=customer_id).aggregate(at=Max("issued_at"))["at"],
        CreditNote.objects.filter(customer_id=customer_id).aggregate(at=Max("created_at"))["at"],
        Payment.objects.filter(customer_id=customer_id).aggregate(at=Max("recorded_at"))["at"],
    ]
    years = CompanyProfile.current().retention_years
    return max((end_of_retention(at, years) for at in newest if at is not None), default=None)
