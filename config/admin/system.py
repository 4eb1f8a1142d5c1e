"""Settings pages that belong to no app: schedules, staff, roles and the change log."""

from typing import Any

from auditlog.admin import LogEntryAdmin as BaseLogEntryAdmin
from auditlog.models import LogEntry
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.timezone import localtime
from django_celery_beat import admin as beat_admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.office.filters import RangeDateTimeFilter
from config.office.history import change_of

# The libraries imported above registered admin classes without Unfold's styles. The classes below replace them.
for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, ClockedSchedule, SolarSchedule):
    admin.site.unregister(model)
for model in (User, Group, LogEntry):
    admin.site.unregister(model)


class TaskSelect(UnfoldAdminSelectWidget, beat_admin.TaskSelectWidget):
    """A choice of the worker's tasks with Unfold's styles."""


class PeriodicTaskForm(beat_admin.PeriodicTaskForm):
    """Choose a known task, or enter the name of a task that only another release has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known_tasks: forms.Field = self.fields["regtask"]
        known_tasks.widget = TaskSelect()
        self.fields["task"].widget = UnfoldAdminTextInputWidget()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat_admin.PeriodicTaskAdmin, ModelAdmin):
    """When each background task runs. Edits take effect within a second, and upgrades keep them."""

    form = PeriodicTaskForm
    delete_confirmation_template = "admin/config/delete_schedule.html"  # Unfold's page needs a script of another page
    change_form_template = None  # the library's template has an inline script, which the CSP blocks
    list_display = ("name", "is_enabled", "schedule_text", "last_run_at", "total_run_count")
    list_filter = ("enabled", ("last_run_at", RangeDateTimeFilter))
    list_filter_submit = True
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
    readonly_fields = ("last_run_at",)

    @display(description="Enabled", boolean=True, ordering="enabled")
    def is_enabled(self, task: PeriodicTask) -> bool:
        return bool(task.enabled)

    @display(description="When")
    def schedule_text(self, task: PeriodicTask) -> str:
        if task.crontab:
            return str(task.crontab.human_readable)  # includes the time zone
        return str(task.interval or task.clocked or task.solar or "never")


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
class IntervalScheduleAdmin(ModelAdmin):
    """Schedules that run again a set time after the last run."""

    list_display = ("__str__", "every", "period")
    list_filter = ("period",)
    search_fields = ("every", "period")
    inlines = (TasksInline,)


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ModelAdmin):
    """Schedules that run at certain times of the day, week or month."""

    list_display = ("human_readable", "__str__", "timezone")
    search_fields = ("hour", "minute", "day_of_week", "timezone")
    fields = ("human_readable", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    readonly_fields = ("human_readable",)
    inlines = (TasksInline,)


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(ModelAdmin):
    """Schedules that run once, at a certain time."""

    list_display = ("clocked_time",)
    search_fields = ("clocked_time",)
    inlines = (TasksInline,)


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    """People who can log in, with the roles that grant their permissions."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "email", "group_names", "is_active", "last_login")
    list_filter = ("is_active", "is_superuser", ("groups", RelatedDropdownFilter))
    list_filter_submit = True
    search_fields = ("username", "first_name", "last_name", "email")
    autocomplete_fields = ("groups",)
    filter_horizontal = ("user_permissions",)
    readonly_fields = ("last_login", "date_joined")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @display(description="Name", ordering="last_name")
    def full_name(self, user: User) -> str:
        return user.get_full_name()

    @display(description="Roles")
    def group_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, ModelAdmin):
    """Roles: named sets of permissions for staff."""

    list_display = ("name", "member_count")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(members=Count("user"))

    @display(description="Staff", ordering="members")
    def member_count(self, group: Any) -> int:
        return int(group.members)


@admin.register(LogEntry)
class LogEntryAdmin(BaseLogEntryAdmin, ModelAdmin):
    """Every change, with its author, time, and the values before and after. Entries can't be edited or deleted."""

    date_hierarchy = None
    list_display = ("when", "who", "what", "about", "fields_changed", "why")
    list_display_links = ("when",)
    list_filter = ("action", ("timestamp", RangeDateTimeFilter))
    list_filter_submit = True
    list_fullwidth = True
    search_fields = ("object_repr", "object_pk", "actor__username", "cid")
    search_help_text = "Object, or user name of the author"
    show_full_result_count = False
    fieldsets = ((None, {"fields": ("when", "who", "what", "about", "why", "edits")}),)
    readonly_fields = ("when", "who", "what", "about", "why", "edits")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response: HttpResponse = super().changelist_view(request, {"title": "Change log"} | (extra_context or {}))
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one change. Entries never change, so the page has no history."""
        context = {"show_history": False} | (extra_context or {})
        response: HttpResponse = super().change_view(request, object_id, form_url, context)
        return response

    @display(description="When (UTC)", ordering="timestamp")
    def when(self, entry: LogEntry) -> str:
        return format_html('<span class="ch-time">{}</span>', f"{localtime(entry.timestamp):%Y-%m-%d %H:%M:%S}")

    @display(description="Who", ordering="actor")
    def who(self, entry: LogEntry) -> str:
        return change_of(entry).who

    @display(description="Action")
    def what(self, entry: LogEntry) -> str:
        return change_of(entry).what

    @display(description="Object")
    def about(self, entry: LogEntry) -> str:
        """Return the name and type of the row, with a link if it has a page."""
        kind, model = entry.content_type.name, entry.content_type.model_class()
        has_page = model in admin.site._registry and entry.action != LogEntry.Action.DELETE
        page = f"admin:{entry.content_type.app_label}_{entry.content_type.model}_change"
        name = (
            format_html('<a class="ch-link" href="{}">{}</a>', reverse(page, args=[entry.object_pk]), entry.object_repr)
            if has_page
            else entry.object_repr
        )
        return format_html('{}<br><span class="ch-note">{}</span>', name, kind)

    @display(description="Fields")
    def fields_changed(self, entry: LogEntry) -> str:
        if entry.action != LogEntry.Action.UPDATE:
            return "–"
        return ", ".join(edit.field for edit in change_of(entry).edits) or "–"

    @display(description="Reason")
    def why(self, entry: LogEntry) -> str:
        return change_of(entry).reason or "–"

    @display(description="Changes")
    def edits(self, entry: LogEntry) -> str:
        rows = ((edit.field.capitalize(), edit.before, edit.after) for edit in change_of(entry).edits)
        body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        head = mark_safe("<tr><td>Field</td><td>Before</td><td>After</td></tr>")
        return (
            format_html('<div class="ch-scroll"><table class="ch-table">{}{}</table></div>', head, body)
            if body
            else "–"
        )
