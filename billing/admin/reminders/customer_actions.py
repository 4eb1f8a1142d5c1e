"""Reminders on a customer's page: pause them, choose the schedule, and a notice while they are paused."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from unfold.admin import ModelAdmin

from billing.admin.reminders.forms import PauseForm, ScheduleForm
from billing.models import ReminderPause
from billing.models.reminders import describe_pause
from billing.reminders.pausing import pause_reminders
from billing.reminders.planning import company_day
from billing.reminders.schedules import assign_schedule
from config.office.dialogs import action, carry_out, staff
from customers.admin import add_customer_action, add_customer_notice
from customers.models import Customer


@action(
    description="Pause reminders",
    icon="notifications_paused",
    permissions=["pause_all_reminders"],
    dialog={
        "title": "Pause reminders",
        "description": "None of the customer's invoices is reminded of.",
        "form_class": PauseForm,
        "form_submit_text": "Pause",
    },
)
def pause_all_reminders(customers: ModelAdmin, request: HttpRequest, form: PauseForm, object_id: str) -> HttpResponse:
    """Pause reminders of all invoices of a customer."""
    customer = get_object_or_404(Customer, pk=object_id)
    return carry_out(
        request,
        lambda: pause_reminders(customer, **form.read(), now=timezone.now(), by=staff(request)),
        done="Reminders are paused.",
        then=customer.get_absolute_url(),
    )


@action(
    description="Reminder schedule",
    icon="schedule_send",
    permissions=["choose_reminders"],
    dialog={"title": "Reminder schedule", "form_class": ScheduleForm, "form_submit_text": "Save"},
)
def choose_reminders(customers: ModelAdmin, request: HttpRequest, form: ScheduleForm, object_id: str) -> HttpResponse:
    """Choose the schedule of a customer."""
    customer, schedule = get_object_or_404(Customer, pk=object_id), form.cleaned_data["schedule"]
    return carry_out(
        request,
        lambda: assign_schedule(customer, schedule, by=staff(request)),
        done=f"{customer} has the schedule {schedule}." if schedule else f"{customer} has the default schedule.",
        then=customer.get_absolute_url(),
    )


def may_pause(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return bool(request.user.has_perm("billing.add_reminderpause"))


def may_choose(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return bool(request.user.has_perm("billing.add_reminderassignment"))


def report_pause(request: HttpRequest, customer: Customer) -> tuple[str, str] | None:
    """Say that the customer's reminders are paused, and link to the pause."""
    if not request.user.has_perm("billing.view_reminderpause"):
        return None
    in_force = ReminderPause.objects.in_force(company_day(timezone.now()))
    pause = in_force.filter(customer=customer, invoice=None).first()
    return None if pause is None else (describe_pause(pause), pause.get_absolute_url())


add_customer_action("pause_all_reminders", pause_all_reminders, allowed=may_pause)
add_customer_action("choose_reminders", choose_reminders, allowed=may_choose)
add_customer_notice(report_pause)
