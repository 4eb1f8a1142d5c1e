"""The status of an invoice as people see it, from its state, its payments and its due date."""

from datetime import datetime

from django.db.models import Case, CharField, Q, TextChoices, Value, When

from billing.models.invoices import IS_SETTLED, Invoice, InvoiceState


class InvoiceStatus(TextChoices):
    """The words for invoices in lists, on pages and in the API's documentation.

    A finalized invoice is overdue after its due date while an amount is left to pay; before that it is partly paid if
    payments cover a part of it, and open otherwise.
    """

    DRAFT = "draft", "Draft"
    OPEN = "open", "Open"
    PARTLY_PAID = "partly_paid", "Partly paid"
    OVERDUE = "overdue", "Overdue"
    PAID = "paid", "Paid"
    VOID = "void", "Void"


def status_of(invoice: Invoice, now: datetime) -> InvoiceStatus:
    """Return an invoice's status at a moment."""
    if invoice.state != InvoiceState.FINALIZED:
        return InvoiceStatus(invoice.state)
    is_to_pay = invoice.amount_remaining > 0
    if is_to_pay and invoice.due_at is not None and invoice.due_at < now:
        return InvoiceStatus.OVERDUE
    return InvoiceStatus.PARTLY_PAID if is_to_pay and invoice.amount_paid > 0 else InvoiceStatus.OPEN


def has_status(status: InvoiceStatus, now: datetime) -> Q:
    """Return the condition for invoices whose `status_of` is this status."""
    if status in (InvoiceStatus.DRAFT, InvoiceStatus.PAID, InvoiceStatus.VOID):
        return Q(state=status.value)
    is_to_pay, is_overdue = Q(amount_due__gte=0) & ~IS_SETTLED, Q(due_at__lt=now)
    is_partly_paid = is_to_pay & Q(amount_paid__gt=0)
    conditions = {
        InvoiceStatus.OVERDUE: is_to_pay & is_overdue,
        InvoiceStatus.PARTLY_PAID: is_partly_paid & ~is_overdue,
        InvoiceStatus.OPEN: ~(is_to_pay & is_overdue) & ~is_partly_paid,
    }
    return Q(state=InvoiceState.FINALIZED) & conditions[status]


def status_label(now: datetime) -> Case:
    """Return the expression for the name of an invoice's status at a moment, such as "Partly paid"."""
    labels = [When(has_status(status, now), then=Value(str(status.label))) for status in InvoiceStatus]
    return Case(*labels, default=Value(""), output_field=CharField())
