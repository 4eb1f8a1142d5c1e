"""Schedules of background tasks in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django_celery_beat import admin as beat_admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.audit import recorded
from config.installation.schedules import is_needed
from config.monitoring.schedules import describe_crontab, describe_plan
from config.office.base import BaseAdmin
from config.office.dialogs import OptionalReasonForm, ReasonForm, action, confirm, open_page, staff
from config.office.filters import RangeDateTimeFilter

# The library registered admin classes without Unfold's styles. The classes below replace them.
for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, ClockedSchedule, SolarSchedule):
    admin.site.unregister(model)

# Of schedules that the product needs, staff choose the time, the name and the description.
FIXED = ("task", "clocked", "start_time", "one_off", "args", "kwargs", "expires", "queue", "priority")


class TaskSelect(UnfoldAdminSelectWidget, beat_admin.TaskSelectWidget):
    """A choice of the worker's tasks with Unfold's styles."""


class PeriodicTaskForm(beat_admin.PeriodicTaskForm):
    """Choose a known task, or enter the name of a task that only another release has."""

    class Meta(beat_admin.PeriodicTaskForm.Meta):
        labels = {
            "task": "Task",
            "description": "What it does",
            "interval": "Every",
            "crontab": "At these times",
            "clocked": "Once, at",
            "start_time": "Not before",
            "one_off": "Only once",
            "last_run_at": "Last run",
        }
        help_texts = {
            "name": "",
            "task": "The name of the task in the code.",
            "enabled": "Disable and Enable, above, change this.",
            "description": "",
            "interval": "Choose this or times.",
            "crontab": "Choose this or an interval.",
            "clocked": "For a task that runs once.",
            "start_time": "The first run isn't before this time (UTC).",
            "one_off": "The schedule ends after its next run.",
            "last_run_at": "",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "task" not in self.fields:  # the product needs the schedule, with its task
            del self.fields["regtask"]
            return
        known_tasks: forms.Field = self.fields["regtask"]
        known_tasks.widget = TaskSelect()
        self.fields["task"].widget = UnfoldAdminTextInputWidget()

    def clean(self) -> Any:
        return super().clean() if "task" in self.fields else forms.ModelForm.clean(self)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat_admin.PeriodicTaskAdmin, BaseAdmin):
    """When each background task runs. Edits take effect within a second, and upgrades keep them."""

    form = PeriodicTaskForm
    actions = ("run_tasks",)  # the library's others change schedules without a reason or an entry in the change log
    actions_detail = ("disable", "enable")
    change_form_template = None  # the library's template has an inline script, which the CSP blocks
    list_display = ("name", "is_enabled", "schedule_text", "last_run", "run_count")
    list_filter = ("enabled", ("last_run_at", RangeDateTimeFilter))
    list_title = "Schedules"
    list_select_related = ("interval", "crontab", "solar", "clocked")
    search_fields = ("name", "task", "description")
    autocomplete_fields = ("interval", "crontab", "clocked")
    ordering = ("name",)
    date_hierarchy = None
    fieldsets = (
        (None, {"fields": ("name", "regtask", "task", "enabled", "description")}),
        ("When", {"fields": ("interval", "crontab", "clocked", "start_time", "one_off", "last_run_at")}),
        ("Arguments", {"fields": ("args", "kwargs"), "classes": ("collapse",)}),
        ("Execution", {"fields": ("expires", "expire_seconds", "queue", "priority"), "classes": ("collapse",)}),
    )
    readonly_fields = ("enabled", "last_run_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Let no one turn a schedule that the product needs into one of another task, or one that ends."""
        fields = super().get_readonly_fields(request, obj)
        return (*fields, *FIXED) if obj is not None and is_needed(obj) else fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or not is_needed(obj):
            return self.fieldsets
        (title, options), *others = self.fieldsets
        return ((title, {**options, "fields": [name for name in options["fields"] if name != "regtask"]}), *others)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user can delete the schedule. What the product needs can only be disabled."""
        return bool(super().has_delete_permission(request, obj)) and not (obj is not None and is_needed(obj))

    def has_disable_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_switch(request, object_id, enabled=True)

    def has_enable_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_switch(request, object_id, enabled=False)

    def _can_switch(self, request: HttpRequest, object_id: Any, *, enabled: bool) -> bool:
        if not self.has_change_permission(request):
            return False
        if object_id is None:
            return True
        return str(object_id).isdecimal() and PeriodicTask.objects.filter(pk=object_id, enabled=enabled).exists()

    @admin.action(description="Run selected tasks", permissions=["change"])
    def run_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        super().run_tasks(request, queryset)

    @action(
        description="Disable",
        icon="pause",
        variant=ActionVariant.DANGER,
        permissions=["disable"],
        dialog=confirm(
            "Disable this schedule?",
            "Its work stops until someone enables it again. If the product needs the schedule, an alarm stays open.",
            "Disable schedule",
            ReasonForm,
        ),
    )
    def disable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Disable the schedule, and record the reason."""
        return self._switch(request, form, object_id, enabled=False)

    @action(
        description="Enable",
        icon="play_arrow",
        variant=ActionVariant.PRIMARY,
        permissions=["enable"],
        dialog=confirm("Enable this schedule?", "It runs when it is due next.", "Enable schedule", OptionalReasonForm),
    )
    def enable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Enable the schedule, and record the reason."""
        return self._switch(request, form, object_id, enabled=True)

    def _switch(self, request: HttpRequest, form: Any, object_id: str, *, enabled: bool) -> HttpResponse:
        schedule = get_object_or_404(PeriodicTask, pk=object_id)
        with transaction.atomic(), recorded(by=staff(request), reason=form.cleaned_data["reason"]):
            schedule.enabled = enabled
            schedule.save()
        done = f"{schedule.name} was {'enabled' if enabled else 'disabled'}."
        return open_page(request, reverse("admin:django_celery_beat_periodictask_change", args=[schedule.pk]), done)

    @display(description="Last run (UTC)", ordering="last_run_at")
    def last_run(self, task: PeriodicTask) -> str:
        return f"{task.last_run_at:%Y-%m-%d %H:%M:%S}" if task.last_run_at else "–"

    @display(description="Runs", ordering="total_run_count")
    def run_count(self, task: PeriodicTask) -> int:
        return int(task.total_run_count)

    @display(description="Enabled", boolean=True, ordering="enabled")
    def is_enabled(self, task: PeriodicTask) -> bool:
        return bool(task.enabled)

    @display(description="When")
    def schedule_text(self, task: PeriodicTask) -> str:
        return describe_plan(task)


class TasksInline(TabularInline):
    """The tasks that use a schedule. Changing the schedule changes all of them."""

    model = PeriodicTask
    fields = ("name", "task", "enabled")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True
    verbose_name_plural = "Tasks with this schedule"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(BaseAdmin):
    """Schedules that run again a set time after the last run."""

    list_display = ("__str__", "every", "period")
    list_filter = ("period",)
    search_fields = ("every", "period")
    inlines = (TasksInline,)


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(BaseAdmin):
    """Schedules that run at certain times of the day, week or month."""

    list_display = ("plan", "__str__", "timezone")
    search_fields = ("hour", "minute", "day_of_week", "timezone")
    fields = ("plan", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    readonly_fields = ("plan",)
    inlines = (TasksInline,)

    @display(description="When")
    def plan(self, crontab: CrontabSchedule) -> str:
        return describe_crontab(crontab)


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(BaseAdmin):
    """Schedules that run once, at a certain time."""

    list_display = ("clocked_time",)
    search_fields = ("clocked_time",)
    inlines = (TasksInline,)
