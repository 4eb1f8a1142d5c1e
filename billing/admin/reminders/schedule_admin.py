"""Schedules of reminders in the admin: steps and minimum amounts on one page."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.forms import BaseDialogForm

from billing.models import ReminderMinimum, ReminderSchedule, ReminderStep
from billing.reminders.schedules import add_standard_steps, delete_schedule, make_default
from config.office.base import OfficeAdmin
from config.office.dialogs import action, carry_out, confirm, staff
from config.office.wording import plural

STEP_WIDTHS = {"email": "ch-wide-select", "attachment": "ch-medium-select"}


class StepInline(TabularInline):
    """The steps of a schedule, in the order of their days."""

    model = ReminderStep
    fields = (
        *("days", "email", "attachment", "fee_amount", "fee_currency", "interest_percent"),
        *("needs_person", "pauses_subscription"),
    )
    extra = 0
    tab = False
    show_title = False
    verbose_name_plural = "Steps"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Show the choices in full: the columns of a table are as narrow as their headings."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name in STEP_WIDTHS:
            field.widget.attrs["class"] = f"{field.widget.attrs.get('class', '')} {STEP_WIDTHS[db_field.name]}"
        return field


class MinimumInline(TabularInline):
    """Amounts below which invoices aren't reminded of, one per currency."""

    model = ReminderMinimum
    extra = 0
    tab = False
    show_title = False
    verbose_name = "minimum"
    verbose_name_plural = "Minimum amounts"


@admin.register(ReminderSchedule)
class ReminderScheduleAdmin(OfficeAdmin):
    """Schedules of reminders. The first is the default, and sends nothing until it has a day to begin."""

    list_display = ("name", "show_steps", "starts_on", "is_default", "show_customers")
    search_fields = ("name",)
    list_title = "Reminder schedules"
    empty_icon = "schedule_send"
    empty_title = "No reminder schedules yet"
    empty_text = (
        "Customers aren't reminded of unpaid invoices. Add a schedule: it begins with the usual steps, which you can "
        "edit before you turn it on."
    )
    fieldsets = ((None, {"fields": ("name", "starts_on", "is_default", "fee_tax")}),)
    add_fieldsets = (
        (
            None,
            {
                "fields": ("name",),
                "description": "It gets the usual steps: 3 days before, on the due date, 7, 14 and 30 days after it.",
            },
        ),
    )
    readonly_fields = ("is_default",)
    autocomplete_fields = ("fee_tax",)
    inlines = (StepInline, MinimumInline)
    actions_detail = ("make_default_one",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReminderSchedule]:
        rows: QuerySet[ReminderSchedule] = super().get_queryset(request).prefetch_related("steps")
        return rows.annotate(customers=Count("assignments"))

    def get_fieldsets(self, request: HttpRequest, obj: ReminderSchedule | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def parts_of(self, obj: ReminderSchedule) -> Iterable[Model]:
        return chain(obj.steps.all(), obj.minimums.all())

    @display(description="Days from the due date")
    def show_steps(self, schedule: ReminderSchedule) -> str:
        return ", ".join(f"{step.days:+d}" if step.days else "0" for step in schedule.steps.all()) or "–"

    @display(description="Customers")
    def show_customers(self, schedule: ReminderSchedule) -> str:
        own = getattr(schedule, "customers", 0)
        others = "all others" if schedule.is_default else ""
        return " and ".join(filter(None, [plural(own, "customer") if own else "", others])) or "–"

    def save_model(self, request: HttpRequest, obj: ReminderSchedule, form: Any, change: bool) -> None:
        if not change:
            obj.is_default = not ReminderSchedule.objects.filter(is_default=True).exists()
        super().save_model(request, obj, form, change)
        if not change:
            add_standard_steps(obj, by=staff(request))

    def response_add(self, request: HttpRequest, obj: ReminderSchedule, post_url_continue: Any = None) -> HttpResponse:
        """Open the schedule's page, to check its steps and to turn it on."""
        self.message_user(request, f"{obj} was added with the usual steps. Choose the day from which it reminds.")
        return HttpResponseRedirect(obj.get_absolute_url())

    def delete_model(self, request: HttpRequest, obj: ReminderSchedule) -> None:
        delete_schedule(obj, by=staff(request))

    def has_default_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        others = ReminderSchedule.objects.filter(pk=object_id or 0, is_default=False)
        return bool(self.has_change_permission(request)) and others.exists()

    @action(
        description="Make default",
        icon="star",
        permissions=["default"],
        dialog=confirm(
            "Make this the default schedule?",
            "It applies to all customers who have no other schedule. Steps that were taken aren't taken again.",
            "Make default",
        ),
    )
    def make_default_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        schedule = get_object_or_404(ReminderSchedule, pk=object_id)
        return carry_out(
            request,
            lambda: make_default(schedule, by=staff(request)),
            done=f"{schedule} is now the default schedule.",
            then=schedule.get_absolute_url(),
        )
