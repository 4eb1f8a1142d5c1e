"""API views for reminders: what was sent, what is planned, pauses, and the tasks for staff."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.reminders import (
    PlannedDay,
    ReminderOut,
    ReminderPauseIn,
    ReminderPauseOut,
)
from billing.models import Invoice, PauseKind, Reminder, ReminderPause
from billing.reminders.pausing import end_pause, pause_reminders
from billing.reminders.planning import PlannedReminder, company_day, plan_reminders, plan_tomorrow
from billing.reminders.taking import mark_reminder_handled
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn
from config.api.views import ApiView, get_or_404, read_body
from customers.api.customers import customer_of

TAG = "Reminders"
WRITE = "billing:write"
MOST_PLANNED = 1_000


class ReminderFilter(filters.FilterSet):
    invoice_id = filters.CharFilter(field_name="invoice__public_id")
    customer_id = filters.CharFilter(field_name="invoice__customer__public_id")
    to_do = filters.BooleanFilter(method="filter_to_do", label="Only tasks that no one has handled.")

    class Meta:
        model = Reminder
        fields: ClassVar[list[str]] = []

    def filter_to_do(self, queryset: Any, name: str, value: bool) -> Any:
        return queryset.filter(pk__in=Reminder.objects.to_do()) if value else queryset


class PauseFilter(filters.FilterSet):
    invoice_id = filters.CharFilter(field_name="invoice__public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    is_ended = filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = ReminderPause
        fields: ClassVar[list[str]] = []


def reminders() -> QuerySet[Reminder]:
    return Reminder.objects.select_related("invoice__customer", "schedule", "email", "fee_invoice").order_by("-pk")


def pauses() -> QuerySet[ReminderPause]:
    return ReminderPause.objects.select_related("customer", "invoice", "created_by").order_by("-pk")


def reminder_of(reminder_id: str) -> Reminder:
    return get_or_404(reminders(), "reminder", public_id=reminder_id)


def pause_of(pause_id: str) -> ReminderPause:
    return get_or_404(pauses(), "pause of reminders", public_id=pause_id)


class Reminders(ApiView):
    """List the reminders that were sent."""

    @operation(
        "listReminders",
        "List reminders",
        tag=TAG,
        answers={200: listed("ReminderList", ReminderOut)},
        filters=ReminderFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, reminders(), ReminderFilter, ReminderOut)


class OneReminder(ApiView):
    """Retrieve a reminder."""

    @operation("getReminder", "Retrieve a reminder", tag=TAG, answers={200: ReminderOut}, errors=(404,))
    def get(self, request: Request, reminder_id: str) -> Response:
        return Response(ReminderOut(reminder_of(reminder_id)).data)


class ReminderHandling(ApiView):
    """Note that someone took care of the task of a reminder."""

    write_scope = WRITE

    @operation(
        "handleReminder",
        "Mark the task of a reminder as handled",
        refusals="The reminder must have a task (`needs_person`).",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: ReminderOut},
        errors=(400, 404),
        example={"reason": "Agreed on two instalments"},
    )
    def post(self, request: Request, reminder_id: str) -> Response:
        reminder, reason = reminder_of(reminder_id), read_body(request, OptionalReasonIn).get("reason", "")
        mark_reminder_handled(reminder, reason=reason or "", now=timezone.now(), by=None)
        return Response(ReminderOut(reminder_of(reminder_id)).data)


class PlannedReminders(ApiView):
    """List the reminders of today that are still to be sent, and those of tomorrow."""

    @operation(
        "listPlannedReminders",
        "List planned reminders",
        tag=TAG,
        answers={200: PlannedDay(many=True)},
        errors=(),
        description="As things are now: payments and pauses until then change it. Days are those of the company's time "
        "zone.",
    )
    def get(self, request: Request) -> Response:
        today = company_day(timezone.now())
        tomorrow = today + timedelta(days=1)
        days = [(today, list(plan_reminders(today))), (tomorrow, plan_tomorrow(today, tomorrow))]
        return Response(PlannedDay([_describe(day, planned) for day, planned in days], many=True).data)


def _describe(day: date, planned: list[PlannedReminder]) -> dict[str, Any]:
    totals: dict[str, list[Decimal]] = {}
    for row in planned:
        totals.setdefault(row.invoice.currency, []).append(row.amount)
    return {
        "date": day,
        "totals": [
            _Total(currency, sum(amounts, Decimal(0)), len(amounts)) for currency, amounts in sorted(totals.items())
        ],
        "items": planned[:MOST_PLANNED],
    }


class _Total:
    """What is left to pay in one currency."""

    def __init__(self, currency: str, amount: Decimal, reminders: int) -> None:
        self.currency, self.amount, self.reminders = currency, amount, reminders


class ReminderPauses(ApiView):
    """Pause reminders, or list pauses."""

    write_scope = WRITE

    @operation(
        "listReminderPauses",
        "List pauses of reminders",
        tag=TAG,
        answers={200: listed("ReminderPauseList", ReminderPauseOut)},
        filters=PauseFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, pauses(), PauseFilter, ReminderPauseOut)

    @operation(
        "createReminderPause",
        "Pause reminders",
        refusals="Exactly one of `customer_id` and `invoice_id` is required. A promise needs `promised_on`, today or "
        "later. The invoice must be finalized, with an amount left to pay.",
        tag=TAG,
        body=ReminderPauseIn,
        answers={201: ReminderPauseOut},
        errors=(400, 404),
        example={
            "invoice_id": "inv_0",
            "kind": "promise",
            "reason": "Anna will pay on Friday",
            "promised_on": "2026-12-04",
        },
        description="Replaces the pause that the invoice or customer has.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, ReminderPauseIn)
        invoice = None
        if body.get("invoice_id"):
            invoices = Invoice.objects.select_related("customer")
            invoice = get_or_404(invoices, "invoice", public_id=body["invoice_id"])
        pause = pause_reminders(
            invoice.customer if invoice is not None else customer_of(body["customer_id"]),
            invoice=invoice,
            kind=PauseKind(body["kind"]),
            reason=body["reason"],
            promised_on=body.get("promised_on"),
            now=timezone.now(),
            by=None,
        )
        return Response(ReminderPauseOut(pause_of(pause.public_id)).data, status=201)


class ReminderPauseEnd(ApiView):
    """End a pause: the next run sends the latest reminder that is due."""

    write_scope = WRITE

    @operation(
        "endReminderPause",
        "End a pause of reminders",
        tag=TAG,
        answers={200: ReminderPauseOut},
        errors=(404,),
    )
    def post(self, request: Request, reminder_pause_id: str) -> Response:
        end_pause(pause_of(reminder_pause_id), now=timezone.now(), by=None)
        return Response(ReminderPauseOut(pause_of(reminder_pause_id)).data)
