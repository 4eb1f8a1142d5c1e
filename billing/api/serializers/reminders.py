"""Reminders, their schedules and pauses, in requests and answers."""

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from billing.api.fields import MoneyField, amount_field
from billing.models import PauseKind, ReminderAttachment, ReminderEmail
from billing.models.reminders import MOST_DAYS_AFTER, MOST_DAYS_BEFORE, MOST_INTEREST
from billing.money import known_currency, money
from config.api.fields import BlankAsNullField, ComputedText, DayIn, ExactField, NumberIn, TextField

MOST_STEPS, MOST_MINIMUMS = 20, 50
Invalid = serializers.ValidationError


class ReminderStepIn(serializers.Serializer[Any]):
    """What is done a number of days before (negative) or after an invoice is due.

    An email is sent, or with null none. A late fee is charged to invoices in its currency only; interest is charged on
    the amount left to pay, for each day since the due date or since interest was last charged. Both become a draft
    invoice. Only steps after the due date can charge, add a task for staff or pause the subscription.
    """

    days = serializers.IntegerField(min_value=-MOST_DAYS_BEFORE, max_value=MOST_DAYS_AFTER)
    email = serializers.ChoiceField(ReminderEmail.choices, required=False, allow_null=True, default=None)
    attachment = serializers.ChoiceField(
        ReminderAttachment.choices, required=False, default=ReminderAttachment.INVOICE.value
    )
    fee_amount = amount_field(required=False, allow_null=True, default=None, min_value=Decimal("0.0001"))
    fee_currency = TextField(3)
    interest_percent = NumberIn(
        required=False,
        allow_null=True,
        default=None,
        max_digits=7,
        decimal_places=4,
        min_value=Decimal("0.0001"),
        max_value=Decimal(MOST_INTEREST),
    )
    needs_person = serializers.BooleanField(required=False, default=False, help_text="Adds a task for staff.")
    pauses_subscription = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Pauses the invoice's subscription if an earlier reminder of the invoice was sent.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["email"], attrs["fee_currency"] = attrs["email"] or "", attrs.get("fee_currency") or ""
        return attrs


class ReminderStepOut(serializers.Serializer[Any]):
    """A step of a schedule."""

    days = serializers.IntegerField()
    email = BlankAsNullField()
    attachment = serializers.ChoiceField(ReminderAttachment.choices)
    fee_amount = MoneyField(currency="fee_currency", allow_null=True)
    fee_currency = BlankAsNullField()
    interest_percent = ExactField(allow_null=True)
    needs_person = serializers.BooleanField()
    pauses_subscription = serializers.BooleanField()


class ReminderMinimumBody(serializers.Serializer[Any]):
    """Invoices in this currency with less than this left to pay aren't reminded of."""

    currency = serializers.CharField(min_length=3, max_length=3)
    amount = amount_field(min_value=Decimal("0.0001"))

    def validate_currency(self, value: str) -> str:
        if not known_currency(value.upper()):
            raise serializers.ValidationError(f"{value} is not a currency.")
        return value.upper()

    def to_representation(self, instance: Any) -> dict[str, str]:
        return {"currency": instance.currency, "amount": money(instance.amount, instance.currency)}


class ReminderScheduleIn(serializers.Serializer[Any]):
    """A schedule. Without `steps`, a new one has the usual steps: -3, 0, 7, 14 and 30 days, and a task at the end."""

    name = serializers.CharField(max_length=64)
    is_default = serializers.BooleanField(
        required=False,
        default=False,
        help_text="For customers who have no other schedule. Replaces the earlier default.",
    )
    starts_on = DayIn(
        required=False,
        allow_null=True,
        default=None,
        help_text="Steps on this day and later are taken, earlier ones never. Null sends no reminders.",
    )
    fee_tax_rate_id = TextField(40, allow_null=True, help_text="Charged on late fees instead of the customer's taxes.")
    steps = ReminderStepIn(many=True, required=False)
    minimums = ReminderMinimumBody(many=True, required=False, default=list)

    def validate_steps(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(value) > MOST_STEPS:
            raise Invalid(f"A schedule has at most {MOST_STEPS} steps.")
        if len({step["days"] for step in value}) < len(value):
            raise Invalid("Specify one step per number of days.")
        return value

    def validate_minimums(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(value) > MOST_MINIMUMS:
            raise Invalid(f"A schedule has at most {MOST_MINIMUMS} minimums.")
        if len({minimum["currency"] for minimum in value}) < len(value):
            raise Invalid("Specify one minimum per currency.")
        return value


class ReminderScheduleOut(serializers.Serializer[Any]):
    """A schedule of reminders with its steps."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    is_default = serializers.BooleanField()
    starts_on = serializers.DateField(allow_null=True, help_text="Null: no reminders are sent.")
    fee_tax_rate_id = serializers.CharField(source="fee_tax.public_id", allow_null=True)
    steps = ReminderStepOut(many=True)
    minimums = ReminderMinimumBody(many=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ReminderOut(serializers.Serializer[Any]):
    """A step that was taken for an unpaid invoice."""

    id = serializers.CharField(source="public_id")
    invoice_id = serializers.CharField(source="invoice.public_id")
    customer_id = serializers.CharField(source="invoice.customer.public_id")
    reminder_schedule_id = serializers.CharField(source="schedule.public_id", allow_null=True)
    days = serializers.IntegerField(help_text="After the due date; negative: before it.")
    date = serializers.DateField(source="taken_on", help_text="The day in the company's time zone.")
    amount = MoneyField(currency="invoice.currency", help_text="What was left to pay.")
    currency = serializers.CharField(source="invoice.currency")
    email_id = serializers.CharField(source="email.public_id", allow_null=True)
    fee_invoice_id = serializers.CharField(source="fee_invoice.public_id", allow_null=True)
    has_paused_subscription = serializers.BooleanField(source="has_paused")
    needs_person = serializers.BooleanField(help_text="Whether it is a task for staff.")
    note = BlankAsNullField(help_text="What couldn't be done, and why.")
    handled_at = serializers.DateTimeField(allow_null=True, help_text="When someone took care of the task.")
    handled_reason = BlankAsNullField()
    created_at = serializers.DateTimeField()


class PlannedReminderOut(serializers.Serializer[Any]):
    """A step that is due on a day, as things are now."""

    invoice_id = serializers.CharField(source="invoice.public_id")
    invoice_number = serializers.CharField(source="invoice.number")
    customer_id = serializers.CharField(source="invoice.customer.public_id")
    reminder_schedule_id = serializers.CharField(source="schedule.public_id")
    days = serializers.IntegerField(source="step.days")
    email = BlankAsNullField(source="step.email")
    due_date = serializers.DateField(source="due_on")
    amount = MoneyField(currency="invoice.currency", help_text="What is left to pay.")
    currency = serializers.CharField(source="invoice.currency")


class PlannedTotal(serializers.Serializer[Any]):
    """What is left to pay on the invoices that are reminded of, in one currency."""

    currency = serializers.CharField()
    amount = MoneyField()
    reminders = serializers.IntegerField()


class PlannedDay(serializers.Serializer[Any]):
    """The reminders of a day, at most 1,000 of them; the totals include all."""

    date = serializers.DateField()
    totals = PlannedTotal(many=True)
    items = PlannedReminderOut(many=True)


class ReminderPauseIn(serializers.Serializer[Any]):
    """Pause reminders of an invoice, or of all invoices of a customer: until a promised date, or until it is ended."""

    customer_id = TextField(40)
    invoice_id = TextField(40)
    kind = serializers.ChoiceField(PauseKind.choices)
    reason = serializers.CharField(max_length=255)
    promised_on = DayIn(required=False, allow_null=True, help_text="Required for a promise, and only for one.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if bool(attrs.get("customer_id")) == bool(attrs.get("invoice_id")):
            raise Invalid({"invoice_id": "Send exactly one of customer_id, invoice_id."})
        if (attrs["kind"] == PauseKind.PROMISE) != bool(attrs.get("promised_on")):
            raise Invalid({"promised_on": "A promise needs the promised date, and only a promise has one."})
        return attrs


class ReminderPauseOut(serializers.Serializer[Any]):
    """A pause of reminders. After the promised date has passed, reminders go on."""

    id = serializers.CharField(source="public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    invoice_id = serializers.CharField(
        source="invoice.public_id", allow_null=True, help_text="Null: all invoices of the customer."
    )
    kind = serializers.ChoiceField(PauseKind.choices)
    reason = serializers.CharField()
    promised_on = serializers.DateField(allow_null=True)
    created_by = ComputedText(help_text="The colleague, or “API”.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_created_by(self, pause: Any) -> str:
        return pause.created_by.username if pause.created_by is not None else "API"


class CustomerScheduleIn(serializers.Serializer[Any]):
    """The schedule of a customer; null returns to the default."""

    reminder_schedule_id = serializers.CharField(max_length=40, allow_null=True)


class CustomerScheduleOut(serializers.Serializer[Any]):
    """The schedule that applies to a customer; null if there is no default either."""

    customer_id = serializers.CharField()
    reminder_schedule_id = serializers.CharField(allow_null=True)
    is_default = serializers.BooleanField(help_text="Whether the customer has no schedule of its own.")
