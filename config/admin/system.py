"""The Settings part of the admin that belongs to no app: schedules, staff and groups, the log of changes."""

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

# Imported above, the libraries have registered admins without Unfold's looks; ours take their place.
for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, ClockedSchedule, SolarSchedule):
    admin.site.unregister(model)
for model in (User, Group, LogEntry):
    admin.site.unregister(model)


class TaskSelect(UnfoldAdminSelectWidget, beat_admin.TaskSelectWidget):
    """A choice of the tasks that the worker knows, in Unfold's looks."""


class PeriodicTaskForm(beat_admin.PeriodicTaskForm):
    """Choose a known task; the name of one that only another release knows can still be written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known: forms.Field = self.fields["regtask"]
        known.widget = TaskSelect()
        self.fields["task"].widget = UnfoldAdminTextInputWidget()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat_admin.PeriodicTaskAdmin, ModelAdmin):
    """When each background task runs. Edits here take effect within a second and outlast upgrades."""

    form = PeriodicTaskForm
    delete_confirmation_template = "admin/config/delete_schedule.html"  # its dates' script needs the words of another
    change_form_template = None  # the library's own has an inline script, which the page's policy refuses
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
        ("With", {"fields": ("args", "kwargs"), "classes": ("collapse",)}),
        ("How", {"fields": ("expires", "expire_seconds", "queue", "priority"), "classes": ("collapse",)}),
    )
    readonly_fields = ("last_run_at",)

    @display(description="Enabled", boolean=True, ordering="enabled")
    def is_enabled(self, task: PeriodicTask) -> bool:
        return bool(task.enabled)

    @display(description="When")
    def schedule_text(self, task: PeriodicTask) -> str:
        if task.crontab:
            return str(task.crontab.human_readable)  # with its zone
        return str(task.interval or task.clocked or task.solar or "never")


class TasksInline(TabularInline):
    """Which tasks run by this schedule: changing it changes them all."""

    model = PeriodicTask
    fields = ("name", "task", "enabled")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_change_link = True
    verbose_name_plural = "Tasks that run by this schedule"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ModelAdmin):
    """Schedules that run again some time after they last ran."""

    list_display = ("__str__", "every", "period")
    list_filter = ("period",)
    search_fields = ("every", "period")
    inlines = (TasksInline,)


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ModelAdmin):
    """Schedules that run at given times of the day, week or month."""

    list_display = ("human_readable", "__str__", "timezone")
    search_fields = ("hour", "minute", "day_of_week", "timezone")
    fields = ("human_readable", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    readonly_fields = ("human_readable",)
    inlines = (TasksInline,)


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(ModelAdmin):
    """Schedules that run once, at a moment."""

    list_display = ("clocked_time",)
    search_fields = ("clocked_time",)
    inlines = (TasksInline,)


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):
    """Staff: who may log in, and which groups say what they may do."""

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

    @display(description="Groups")
    def group_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, ModelAdmin):
    """Roles: named sets of permissions that staff are given."""

    list_display = ("name", "member_count")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(members=Count("user"))

    @display(description="Staff", ordering="members")
    def member_count(self, group: Any) -> int:
        return int(group.members)


@admin.register(LogEntry)
class LogEntryAdmin(BaseLogEntryAdmin, ModelAdmin):
    """Every change: who, when, and the values before and after. Nothing here can be edited or removed."""

    date_hierarchy = None
    list_display = ("when", "who", "what", "about", "fields_changed", "why")
    list_display_links = ("when",)
    list_filter = ("action", ("timestamp", RangeDateTimeFilter))
    list_filter_submit = True
    list_fullwidth = True
    search_fields = ("object_repr", "object_pk", "actor__username", "cid")
    search_help_text = "What was changed, or who changed it"
    show_full_result_count = False
    fieldsets = ((None, {"fields": ("when", "who", "what", "about", "why", "edits")}),)
    readonly_fields = ("when", "who", "what", "about", "why", "edits")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown: HttpResponse = super().changelist_view(request, {"title": "Change log"} | (extra_context or {}))
        return shown

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one change in words. It has no history of its own: nothing ever changes it."""
        context = {"show_history": False} | (extra_context or {})
        shown: HttpResponse = super().change_view(request, object_id, form_url, context)
        return shown

    @display(description="When (UTC)", ordering="timestamp")
    def when(self, entry: LogEntry) -> str:
        return format_html('<span class="ch-time">{}</span>', f"{localtime(entry.timestamp):%Y-%m-%d %H:%M:%S}")

    @display(description="Who", ordering="actor")
    def who(self, entry: LogEntry) -> str:
        return change_of(entry).who

    @display(description="What")
    def what(self, entry: LogEntry) -> str:
        return change_of(entry).what

    @display(description="Of")
    def about(self, entry: LogEntry) -> str:
        """Name the row and its kind, and lead to its page where it has one."""
        kind, model = entry.content_type.name, entry.content_type.model_class()
        registered = model in admin.site._registry and entry.action != LogEntry.Action.DELETE
        page = f"admin:{entry.content_type.app_label}_{entry.content_type.model}_change"
        named = (
            format_html('<a class="ch-link" href="{}">{}</a>', reverse(page, args=[entry.object_pk]), entry.object_repr)
            if registered
            else entry.object_repr
        )
        return format_html('{}<br><span class="ch-note">{}</span>', named, kind)

    @display(description="Changed")
    def fields_changed(self, entry: LogEntry) -> str:
        if entry.action != LogEntry.Action.UPDATE:
            return "–"
        return ", ".join(edit.field for edit in change_of(entry).edits) or "–"

    @display(description="Why")
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
