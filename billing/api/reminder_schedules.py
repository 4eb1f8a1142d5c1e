"""API views for schedules of reminders, and the schedule of a customer."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.reminders import TAG, WRITE
from billing.api.serializers.reminders import (
    CustomerScheduleIn,
    CustomerScheduleOut,
    ReminderScheduleIn,
    ReminderScheduleOut,
)
from billing.api.taxes import rate_of
from billing.models import ReminderSchedule
from billing.reminders.schedules import (
    STANDARD_STEPS,
    ScheduleTerms,
    assign_schedule,
    delete_schedule,
    save_schedule,
    schedule_of,
)
from config.api.openapi import operation
from config.api.views import ApiView, get_or_404, read_body
from customers.api.customers import customer_of
from customers.models import Customer

EXAMPLE: dict[str, Any] = {
    "name": "Standard",
    "is_default": True,
    "starts_on": "2026-12-01",
    "steps": [
        {"days": -3, "email": "due_soon"},
        {"days": 7, "email": "reminder"},
        {"days": 14, "email": "reminder", "attachment": "statement", "interest_percent": "9"},
        {"days": 30, "email": "final_notice", "needs_person": True, "pauses_subscription": True},
    ],
    "minimums": [{"currency": "USD", "amount": "5.00"}],
}
REFUSALS = (
    "Only steps after the due date can charge, add a task or pause. `fee_amount` and `fee_currency` come together. A "
    "step sends an email, adds a task or pauses."
)


def schedules() -> QuerySet[ReminderSchedule]:
    return ReminderSchedule.objects.select_related("fee_tax").prefetch_related("steps", "minimums")


def schedule_by_id(schedule_id: str) -> ReminderSchedule:
    return get_or_404(schedules(), "reminder schedule", public_id=schedule_id)


def _save(schedule: ReminderSchedule, request: Request, *, steps: Any) -> ReminderSchedule:
    body = read_body(request, ReminderScheduleIn)
    schedule.name = body["name"]
    terms = ScheduleTerms(
        is_default=body["is_default"],
        starts_on=body["starts_on"],
        fee_tax=rate_of(body["fee_tax_rate_id"]) if body.get("fee_tax_rate_id") else None,
        steps=body.get("steps", steps),
        minimums={minimum["currency"]: minimum["amount"] for minimum in body["minimums"]},
    )
    return save_schedule(schedule, terms, by=None)


class ReminderSchedules(ApiView):
    """Create or list schedules of reminders."""

    write_scope = WRITE

    @operation(
        "listReminderSchedules",
        "List reminder schedules",
        tag=TAG,
        answers={200: ReminderScheduleOut(many=True)},
        errors=(),
    )
    def get(self, request: Request) -> Response:
        return Response(ReminderScheduleOut(schedules(), many=True).data)

    @operation(
        "createReminderSchedule",
        "Create a reminder schedule",
        refusals=REFUSALS,
        tag=TAG,
        body=ReminderScheduleIn,
        answers={201: ReminderScheduleOut},
        errors=(400, 404, 409),
        example=EXAMPLE,
    )
    def post(self, request: Request) -> Response:
        schedule = _save(ReminderSchedule(), request, steps=STANDARD_STEPS)
        return Response(ReminderScheduleOut(schedule_by_id(schedule.public_id)).data, status=201)


class OneReminderSchedule(ApiView):
    """Retrieve, replace or delete a schedule of reminders."""

    write_scope = WRITE

    @operation(
        "getReminderSchedule",
        "Retrieve a reminder schedule",
        tag=TAG,
        answers={200: ReminderScheduleOut},
        errors=(404,),
    )
    def get(self, request: Request, reminder_schedule_id: str) -> Response:
        return Response(ReminderScheduleOut(schedule_by_id(reminder_schedule_id)).data)

    @operation(
        "updateReminderSchedule",
        "Replace a reminder schedule",
        refusals=REFUSALS,
        tag=TAG,
        body=ReminderScheduleIn,
        answers={200: ReminderScheduleOut},
        errors=(400, 404, 409),
        example=EXAMPLE,
        description="Its steps and minimums are replaced. A step that was taken for an invoice isn't taken again.",
    )
    def put(self, request: Request, reminder_schedule_id: str) -> Response:
        _save(schedule_by_id(reminder_schedule_id), request, steps=())
        return Response(ReminderScheduleOut(schedule_by_id(reminder_schedule_id)).data)

    @operation(
        "deleteReminderSchedule",
        "Delete a reminder schedule",
        refusals="No customer may have the schedule.",
        tag=TAG,
        answers={204: None},
        errors=(400, 404),
    )
    def delete(self, request: Request, reminder_schedule_id: str) -> Response:
        delete_schedule(schedule_by_id(reminder_schedule_id), by=None)
        return Response(status=204)


class CustomerSchedule(ApiView):
    """Retrieve or choose the schedule of a customer."""

    write_scope = WRITE

    @operation(
        "getCustomerReminderSchedule",
        "Retrieve a customer's reminder schedule",
        tag=TAG,
        answers={200: CustomerScheduleOut},
        errors=(404,),
    )
    def get(self, request: Request, customer_id: str) -> Response:
        return _answer(customer_of(customer_id))

    @operation(
        "setCustomerReminderSchedule",
        "Choose a customer's reminder schedule",
        tag=TAG,
        body=CustomerScheduleIn,
        answers={200: CustomerScheduleOut},
        errors=(400, 404),
        example={"reminder_schedule_id": None},
        description="Null returns to the default.",
    )
    def put(self, request: Request, customer_id: str) -> Response:
        customer, schedule_id = customer_of(customer_id), read_body(request, CustomerScheduleIn)["reminder_schedule_id"]
        assign_schedule(customer, schedule_by_id(schedule_id) if schedule_id else None, by=None)
        return _answer(customer)


def _answer(customer: Customer) -> Response:
    schedule = schedule_of(customer)
    body = {
        "customer_id": customer.public_id,
        "reminder_schedule_id": schedule.public_id if schedule else None,
        "is_default": not ReminderSchedule.objects.filter(assignments__customer=customer).exists(),
    }
    return Response(CustomerScheduleOut(body).data)
