"""Late fees and interest: a one-off draft for each step that charges, for staff to review."""

from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from billing.lifecycle.one_off import Item, OneOffTerms, create_one_off
from billing.models import Invoice, Reminder, ReminderStep
from billing.money import format_amount, round_amount, times
from billing.reminders.planning import PlannedReminder
from billing.wording import day

DAYS_OF_YEAR = 365


def calculate_interest(amount: Decimal, percent: Decimal, days: int, currency: str) -> Decimal:
    """Calculate simple interest for a number of days, by 365 days a year.

    $1,000.00 at 9% for 14 days: 1000 × 0.09 × 14 / 365 = 3.4520…

    >>> calculate_interest(Decimal("1000.00"), Decimal(9), 14, "USD")
    Decimal('3.45')
    """
    return round_amount(times(amount, Fraction(percent) / 100 * Fraction(days, DAYS_OF_YEAR)), currency)


def list_charges(planned: PlannedReminder, *, interest_from: date, today: date) -> list[Item]:
    """Return what a step charges for an invoice: a fee in the invoice's currency, and interest since a day."""
    step, currency = planned.step, planned.invoice.currency
    bill = planned.invoice.joint or planned.invoice
    items = []
    if step.fee_amount is not None and step.fee_currency == currency:
        items.append(Item(f"Late fee for invoice {bill}, due on {day(planned.due_on)}", step.fee_amount))
    if step.interest_percent is not None:
        days = (today - interest_from).days
        interest = calculate_interest(planned.amount, step.interest_percent, days, currency)
        percent = f"{step.interest_percent.normalize():f}"
        text = (
            f"Interest on {format_amount(planned.amount, currency)} of invoice {bill}: {percent}% a year "
            f"from {day(interest_from)} to {day(today)}"
        )
        if interest > 0:
            items.append(Item(text, None, amount=interest))
    return items


def draft_late_fee(planned: PlannedReminder, *, today: date, now: datetime) -> tuple[Invoice | None, date | None]:
    """Draft the invoice of what a step charges; return it and the last day of its interest. Safe to repeat.

    A late fee isn't charged on a late fee. Raises `CannotChange` if the invoice can't be created.
    """
    if not charges(planned.step) or Reminder.objects.filter(fee_invoice=planned.invoice).exists():
        return None, None
    of_invoice = Reminder.objects.filter(invoice=planned.invoice, interest_until__isnull=False)
    charged_until = of_invoice.order_by("-interest_until").values_list("interest_until", flat=True).first()
    items = list_charges(planned, interest_from=charged_until or planned.due_on, today=today)
    if not items:
        return None, None
    fee_tax = planned.schedule.fee_tax
    invoice = create_one_off(
        planned.invoice.customer,
        items,
        currency=planned.invoice.currency,
        terms=OneOffTerms(
            memo=f"Late payment of invoice {planned.invoice.joint or planned.invoice}",
            tax_rates=None if fee_tax is None else [fee_tax],
        ),
        external_reference=f"late-fee-{planned.invoice.public_id}-{planned.step.days}",
        now=now,
        by=None,
    )
    return invoice, today if planned.step.interest_percent is not None else None


def charges(step: ReminderStep) -> bool:
    """Return whether a step charges a late fee or interest."""
    return step.fee_amount is not None or step.interest_percent is not None
