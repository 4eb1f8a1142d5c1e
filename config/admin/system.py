"""Settings pages that belong to no app: schedules and the change log."""

from typing import Any

from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from allauth.socialaccount.admin import SocialAccount, SocialApp, SocialToken
from auditlog.admin import LogEntryAdmin as BaseLogEntryAdmin
from auditlog.models import LogEntry
from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import localtime, now
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
from config.change_log.models import ChangeSeal
from config.change_log.sealing import seal_entries
from config.change_log.status import read_status
from config.change_log.verifying import check_change_log
from config.installation.schedules import is_needed
from config.office.base import BaseAdmin
from config.office.dialogs import OptionalReasonForm, ReasonForm, action, confirm, open_page, staff
from config.office.filters import RangeDateTimeFilter
from config.office.history import change_of
from config.office.wording import code
from config.personal_data.entries import about_customers, read_entry, with_keys

# The libraries imported above registered admin classes without Unfold's styles. The classes below replace them.
for model in (PeriodicTask, IntervalSchedule, CrontabSchedule, ClockedSchedule, SolarSchedule):
    admin.site.unregister(model)
admin.site.unregister(LogEntry)
# Colleagues manage these at Sign-in and security, and owners on the colleague's page.
for unused in (Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(unused)

admin.site.empty_value_display = "–"  # docs/words.md


# Of schedules that the product needs, staff choose the time, the name and the description.
FIXED = ("task", "clocked", "start_time", "one_off", "args", "kwargs", "expires", "queue", "priority")


class TaskSelect(UnfoldAdminSelectWidget, beat_admin.TaskSelectWidget):
    """A choice of the worker's tasks with Unfold's styles."""


class PeriodicTaskForm(beat_admin.PeriodicTaskForm):
    """Choose a known task, or enter the name of a task that only another release has."""

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
    delete_confirmation_template = "admin/config/delete_schedule.html"  # Unfold's page needs a script of another page
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
class IntervalScheduleAdmin(BaseAdmin):
    """Schedules that run again a set time after the last run."""

    list_display = ("__str__", "every", "period")
    list_filter = ("period",)
    search_fields = ("every", "period")
    inlines = (TasksInline,)


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(BaseAdmin):
    """Schedules that run at certain times of the day, week or month."""

    list_display = ("human_readable", "__str__", "timezone")
    search_fields = ("hour", "minute", "day_of_week", "timezone")
    fields = ("human_readable", "minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    readonly_fields = ("human_readable",)
    inlines = (TasksInline,)


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(BaseAdmin):
    """Schedules that run once, at a certain time."""

    list_display = ("clocked_time",)
    search_fields = ("clocked_time",)
    inlines = (TasksInline,)


class RequestFilter(admin.SimpleListFilter):
    """The changes of one request. The list's links choose it."""

    title = "request"
    parameter_name = "request"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(request_id, request_id)] if (request_id := request.GET.get("request")) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
        return queryset.filter(cid=self.value()) if self.value() else queryset


@admin.register(LogEntry)
class LogEntryAdmin(BaseLogEntryAdmin, BaseAdmin):
    """Every change, with its author, time, and the values before and after. Entries can't be edited or deleted."""

    date_hierarchy = None
    list_display = ("when", "who", "what", "about", "fields_changed", "why", "request_link")
    list_display_links = ("when",)
    list_filter = ("action", ("timestamp", RangeDateTimeFilter), RequestFilter)
    list_before_template = "admin/config/change_log_status.html"
    actions_list = ("verify",)
    list_title = "Change log"
    list_fullwidth = True
    search_fields = ("object_repr", "object_pk", "actor__username", "additional_data__api_key", "cid")
    search_help_text = "Object, customer, author or API key, or request ID"
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("when", "who", "what", "about", "why", "edits")}),
        ("Evidence", {"fields": ("request_text", "address", "seal")}),
    )
    readonly_fields = ("when", "who", "what", "about", "why", "edits", "request_text", "address", "seal")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogEntry]:
        return with_keys(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[LogEntry], search_term: str
    ) -> tuple[QuerySet[LogEntry], bool]:
        """Find entries by their texts, and those about customers, whose names are encrypted, by the customers."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        return (found | queryset.filter(about_customers(search_term)) if search_term else found), may_repeat

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"chain": read_status()} | (extra_context or {}))

    def has_verify_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(self.has_view_permission(request))

    @action(
        description="Verify",
        icon="verified_user",
        permissions=["verify"],
        dialog=confirm(
            "Verify the change log?",
            "Compares every entry with its seal, and every seal with the chain. Changes nothing.",
            "Verify",
        ),
    )
    def verify(self, request: HttpRequest, form: Any) -> HttpResponse:
        """Chain the newest entries, verify all, and show the result above the list."""
        seal_entries()
        check_change_log(now=now(), by=staff(request))
        return open_page(request, reverse("admin:auditlog_logentry_changelist"))

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
        read_entry(entry)
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

    @display(description="Request")
    def request_link(self, entry: LogEntry) -> SafeString | str:
        """Link to all changes of the same request."""
        if not entry.cid:
            return "–"
        return format_html(
            '<a class="ch-link ch-code" href="?request={}" title="{}">{}</a>', entry.cid, entry.cid, entry.cid[:8]
        )

    @display(description="Request")
    def request_text(self, entry: LogEntry) -> SafeString | str:
        if not entry.cid:
            return "–"
        url = reverse("admin:auditlog_logentry_changelist")
        link = '{} · <a class="ch-link" href="{}?request={}">All changes of this request</a>'
        return format_html(link, code(entry.cid), url, entry.cid)

    @display(description="From")
    def address(self, entry: LogEntry) -> str:
        return entry.remote_addr or "–"

    @display(description="Seal")
    def seal(self, entry: LogEntry) -> SafeString | str:
        seal = ChangeSeal.objects.filter(pk=entry.pk, number__isnull=False).first()
        return code(f"{seal.number}:{bytes(seal.hash or b'').hex()}") if seal else "chained within seconds"

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
