"""Payment reminders: schedules with their steps, which customers have which, what was done, and what is paused."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse

from billing.models.emails import Email, EmailKind
from billing.models.invoices import Invoice
from billing.models.taxes import TaxRate
from billing.money import known_currency
from billing.wording import day
from config.db import AmountField, CurrencyField, DecimalField, PublicIdField, Stamped
from customers.models import Customer

MOST_DAYS_BEFORE, MOST_DAYS_AFTER = 60, 365
MOST_INTEREST = 100  # percent a year


class ReminderEmail(models.TextChoices):
    """The template of a step's email. Its values are kinds of emails."""

    DUE_SOON = EmailKind.DUE_SOON.value, "Due date reminder"
    REMINDER = EmailKind.REMINDER.value, "Payment reminder"
    FINAL_NOTICE = EmailKind.FINAL_NOTICE.value, "Final notice"


class ReminderAttachment(models.TextChoices):
    """What a step attaches to its email."""

    INVOICE = "invoice", "Invoice"
    STATEMENT = "statement", "Statement"


class ReminderSchedule(Stamped):
    """A named series of steps for a group of customers. The default is for customers who have no other."""

    public_id = PublicIdField("rsch")
    name = models.CharField(max_length=64, unique=True)
    is_default = models.BooleanField(
        "default", default=False, help_text="For all customers who have no other schedule."
    )
    starts_on = models.DateField(
        "reminds from",
        null=True,
        blank=True,
        help_text="Steps on this day and later are taken, earlier ones never. Leave blank to send no reminders.",
    )
    fee_tax = models.ForeignKey(
        TaxRate,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="tax on late fees",
        help_text="For late fees that are taxed differently, for example a rate of 0%. Leave blank to charge the "
        "customer's taxes.",
    )

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["is_default"], name="reminder_schedule_one_default", condition=Q(is_default=True)
            ),
            models.CheckConstraint(name="reminder_schedule_named", condition=~Q(name="")),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_reminderschedule_change", args=[self.pk])


class ReminderMinimum(models.Model):
    """The amount below which invoices in a currency aren't reminded of."""

    schedule = models.ForeignKey(ReminderSchedule, models.CASCADE, db_index=False, related_name="minimums")
    currency = CurrencyField()
    amount = AmountField("minimum amount", validators=[MinValueValidator(Decimal("0.0001"))])

    class Meta:
        ordering: ClassVar = ["currency"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["schedule", "currency"], name="reminder_minimum_once_per_currency"),
            models.CheckConstraint(name="reminder_minimum_positive", condition=Q(amount__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.currency} {self.amount}"

    def clean(self) -> None:
        _check_currency(self.currency)


class ReminderStep(models.Model):
    """What is done a number of days before or after an invoice is due."""

    schedule = models.ForeignKey(ReminderSchedule, models.CASCADE, db_index=False, related_name="steps")
    days = models.SmallIntegerField(
        validators=[MinValueValidator(-MOST_DAYS_BEFORE), MaxValueValidator(MOST_DAYS_AFTER)],
        help_text="After the due date. Negative: before it.",
    )
    email = models.CharField(max_length=16, choices=ReminderEmail, blank=True, help_text="Leave blank to send none.")
    attachment = models.CharField(max_length=16, choices=ReminderAttachment, default=ReminderAttachment.INVOICE)
    fee_amount = AmountField("late fee", null=True, blank=True, help_text="Charged to invoices in this currency only.")
    fee_currency = CurrencyField("currency", blank=True)
    interest_percent = DecimalField(
        "interest, %",
        max_digits=7,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="A year, on the amount left to pay, for the days since the due date or the last interest.",
    )
    needs_person = models.BooleanField("task", default=False, help_text="Adds the invoice to the tasks on Home.")
    pauses_subscription = models.BooleanField(
        "pause",
        default=False,
        help_text="Pauses the subscription if an earlier reminder was sent. Resume it on its page.",
    )

    class Meta:
        ordering: ClassVar = ["days"]
        verbose_name = "step"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["schedule", "days"],
                name="reminder_step_once_a_day",
                violation_error_message="This schedule has a step on that day already.",
            ),
            models.CheckConstraint(
                name="reminder_step_days_in_range",
                condition=Q(days__gte=-MOST_DAYS_BEFORE, days__lte=MOST_DAYS_AFTER),
                violation_error_message=f"Enter a number of days from -{MOST_DAYS_BEFORE} to {MOST_DAYS_AFTER}.",
            ),
            models.CheckConstraint(
                name="reminder_step_does_something",
                condition=~Q(email="") | Q(needs_person=True) | Q(pauses_subscription=True),
                violation_error_message="Choose an email, a task or a pause of the subscription.",
            ),
            models.CheckConstraint(
                name="reminder_step_charges_when_overdue",
                condition=Q(days__gt=0)
                | Q(fee_amount=None, interest_percent=None, needs_person=False, pauses_subscription=False),
                violation_error_message="Only a step after the due date can charge, add a task or pause.",
            ),
            models.CheckConstraint(
                name="reminder_step_fee_has_currency",
                condition=Q(fee_amount=None, fee_currency="")
                | Q(fee_amount__isnull=False, fee_amount__gt=0) & ~Q(fee_currency=""),
                violation_error_message="Enter a positive late fee with its currency, or neither.",
            ),
            models.CheckConstraint(
                name="reminder_step_interest_in_range",
                condition=Q(interest_percent=None) | Q(interest_percent__gt=0, interest_percent__lte=MOST_INTEREST),
                violation_error_message=f"Enter interest of more than 0 and at most {MOST_INTEREST} percent a year.",
            ),
        ]

    def __str__(self) -> str:
        return describe_days(self.days)

    def clean(self) -> None:
        if self.fee_currency:
            _check_currency(self.fee_currency, "fee_currency")


class ReminderAssignment(Stamped):
    """The schedule of a customer who has another one than the default."""

    customer = models.OneToOneField(Customer, models.PROTECT, related_name="reminder_assignment")
    schedule = models.ForeignKey(ReminderSchedule, models.PROTECT, related_name="assignments")

    def __str__(self) -> str:
        return f"{self.schedule} for {self.customer}"


class PauseKind(models.TextChoices):
    """Why an invoice or a customer gets no reminders."""

    PROMISE = "promise", "Promise to pay"
    DISPUTE = "dispute", "In dispute"
    OTHER = "other", "Other reason"


class ReminderPauseQuerySet(models.QuerySet["ReminderPause"]):
    def in_force(self, today: date) -> ReminderPauseQuerySet:
        """Keep pauses that weren't ended and whose promise isn't broken. The promised day itself is still paused."""
        return self.filter(Q(promised_on=None) | Q(promised_on__gte=today), ended_at=None)

    def of_invoice(self, invoice: Invoice) -> ReminderPauseQuerySet:
        """Keep pauses of an invoice, and of all invoices of its customer."""
        return self.filter(Q(invoice=invoice.pk) | Q(invoice=None), customer=invoice.customer_id)


class ReminderPause(Stamped):
    """No reminders of an invoice, or of any invoice of a customer, until a promised day has passed or it is ended."""

    public_id = PublicIdField("rpause")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="reminder_pauses")
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True, related_name="reminder_pauses")
    kind = models.CharField("why", max_length=16, choices=PauseKind)
    reason = models.CharField(max_length=255)
    promised_on = models.DateField("promised payment date", null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    objects = ReminderPauseQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["customer", "invoice"],
                name="reminder_pause_once",
                nulls_distinct=False,
                condition=Q(ended_at=None),
            ),
            models.CheckConstraint(name="reminder_pause_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="reminder_pause_promise_has_day",
                condition=Q(kind="promise", promised_on__isnull=False) | ~Q(kind="promise") & Q(promised_on=None),
                violation_error_message="A promise to pay needs the promised date, and only a promise has one.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.invoice or self.customer}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_reminderpause_change", args=[self.pk])


class ReminderQuerySet(models.QuerySet["Reminder"]):
    def to_do(self) -> ReminderQuerySet:
        """Keep tasks that no one has handled, about invoices with an amount left to pay."""
        return self.filter(needs_person=True, handled_at=None, invoice__in=Invoice.objects.to_pay())


class Reminder(models.Model):
    """A step that was taken for an invoice: once for each number of days, by constraint."""

    public_id = PublicIdField("rem")
    invoice = models.ForeignKey(Invoice, models.PROTECT, db_index=False, related_name="reminders")
    schedule = models.ForeignKey(ReminderSchedule, models.SET_NULL, null=True, related_name="+")
    days = models.SmallIntegerField(help_text="After the due date, as the step says. Negative: before it.")
    taken_on = models.DateField("date", help_text="The day in the company's time zone.")
    amount = AmountField("left to pay", help_text="On that day, in the invoice's currency.")
    email = models.ForeignKey(Email, models.PROTECT, null=True, related_name="reminders")
    fee_invoice = models.OneToOneField(
        Invoice, models.PROTECT, null=True, related_name="late_fee_of", verbose_name="late fee"
    )
    interest_until = models.DateField(null=True, help_text="The last day for which interest was charged.")
    has_paused = models.BooleanField("subscription paused", default=False)
    needs_person = models.BooleanField("task", default=False)
    note = models.CharField(max_length=500, blank=True)
    handled_at = models.DateTimeField(null=True)
    handled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    handled_reason = models.CharField("how it was handled", max_length=255, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = ReminderQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["invoice", "days"], name="reminder_once_per_step"),
            models.CheckConstraint(name="reminder_of_an_amount", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="reminder_handled_if_task", condition=Q(handled_at=None) | Q(needs_person=True)
            ),
            models.CheckConstraint(name="reminder_fee_when_overdue", condition=Q(fee_invoice=None) | Q(days__gt=0)),
            models.CheckConstraint(
                name="reminder_fee_is_another_invoice", condition=Q(fee_invoice=None) | ~Q(fee_invoice=F("invoice"))
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="reminder_tasks", condition=Q(needs_person=True, handled_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.invoice}: {describe_days(self.days)}"

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_reminder_change", args=[self.pk])


def describe_days(days: int) -> str:
    """Say when a step is.

    >>> describe_days(-1), describe_days(0), describe_days(14)
    ('1 day before the due date', 'on the due date', '14 days after the due date')
    """
    if days == 0:
        return "on the due date"
    count = f"{abs(days)} day{'' if abs(days) == 1 else 's'}"
    return f"{count} {'before' if days < 0 else 'after'} the due date"


def describe_pause(pause: ReminderPause) -> str:
    """Describe a pause in a line: Reminders are paused (promise to pay by 4 Dec 2026): Anna will pay on Friday."""
    by = f" by {day(pause.promised_on)}" if pause.promised_on else ""
    return f"Reminders are paused ({pause.get_kind_display().lower()}{by}): {pause.reason}"


def _check_currency(code: str, field: str = "currency") -> None:
    if not known_currency(code):
        raise ValidationError({field: f"{code} isn't a currency. Enter its ISO 4217 code, such as USD."})


auditlog.register(ReminderSchedule, exclude_fields=["updated_at"])
auditlog.register(ReminderMinimum)
auditlog.register(ReminderStep)
auditlog.register(ReminderAssignment, exclude_fields=["updated_at"])
auditlog.register(ReminderPause, exclude_fields=["updated_at"])
auditlog.register(Reminder, include_fields=["handled_at", "handled_reason"])
