"""Alarms in the admin: the list, open ones first, and the page of an alarm with its acknowledgment."""

from typing import Any

from django.contrib import admin
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from config.alarms.kinds import AlarmStatus
from config.alarms.models import Alarm
from config.alarms.raising import acknowledge
from config.office.base import OfficeAdmin
from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.permissions import NeverChanged
from config.office.wording import moment

COLORS = {AlarmStatus.OPEN: "danger", AlarmStatus.ACKNOWLEDGED: "warning", AlarmStatus.CLEARED: "success"}
OPEN_FIRST = Case(When(cleared_at=None, then=Value(0)), default=Value(1), output_field=IntegerField())


class NoteForm(ReasonForm):
    """Ask what is being done."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].label = "Note"
        self.fields["reason"].help_text = "What is being done. Recorded with your name and the time."


class StatusFilter(DropdownFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(label)) for value, label in AlarmStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        if self.value() == AlarmStatus.CLEARED:
            return queryset.exclude(cleared_at=None)
        if self.value() in AlarmStatus.values:
            return queryset.filter(cleared_at=None, acknowledged_at__isnull=self.value() == AlarmStatus.OPEN)
        return queryset


@admin.register(Alarm)
class AlarmAdmin(NeverChanged, OfficeAdmin):
    """What someone must look at, and what was. Alarms are cleared automatically when they are over."""

    change_form_template = "admin/config/alarm/change_form.html"
    list_display = ("show_message", "show_status", "show_kind", "show_opened", "show_cleared", "show_acknowledger")
    list_filter = (StatusFilter, ("kind", ChoicesDropdownFilter))
    list_select_related = ("acknowledged_by",)
    list_fullwidth = True
    search_fields = ("message", "about", "public_id", "note")
    search_help_text = "Message, note or ID"
    actions_detail = ("acknowledge_one",)
    empty_icon = "notifications_active"
    empty_title = "No alarms"
    empty_text = "Something that someone must look at appears here, on Home, and in emails to ALARM_EMAILS."
    export_columns = (
        ("ID", "public_id"),
        ("Alarm", lambda alarm: alarm.get_kind_display()),
        ("About", "about"),
        ("Status", "status"),
        ("Message", "message"),
        ("What to do", "what_to_do"),
        ("Opened at (UTC)", "opened_at"),
        ("Last seen at (UTC)", "seen_at"),
        ("Cleared at (UTC)", "cleared_at"),
        ("Acknowledged by", "acknowledger"),
        ("Acknowledged at (UTC)", "acknowledged_at"),
        ("Note", "note"),
    )

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        return (OPEN_FIRST, "-pk")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("acknowledged_by")

    def facts_of(self, request: HttpRequest, obj: Alarm) -> dict[str, Any]:
        return {"alarm": obj, "color": COLORS[obj.status]}

    @display(description="Alarm")
    def show_message(self, alarm: Alarm) -> SafeString:
        return format_html('<span class="ch-wrap">{}</span>', alarm.message)

    @display(description="Status", label=COLORS)
    def show_status(self, alarm: Alarm) -> tuple[str, str]:
        return alarm.status, str(alarm.status.label)

    @display(description="Kind", ordering="kind")
    def show_kind(self, alarm: Alarm) -> str:
        return alarm.get_kind_display()

    @display(description="Opened", ordering="opened_at")
    def show_opened(self, alarm: Alarm) -> str:
        return moment(alarm.opened_at, seconds=False)

    @display(description="Cleared", ordering="cleared_at")
    def show_cleared(self, alarm: Alarm) -> str:
        return moment(alarm.cleared_at, seconds=False)

    @display(description="Acknowledged by")
    def show_acknowledger(self, alarm: Alarm) -> str:
        return alarm.acknowledger or "–"

    def has_acknowledge_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether the user can acknowledge the alarm, which is open. "Change" permits it."""
        is_permitted = bool(request.user.has_perm("config.change_alarm"))
        return is_permitted and (object_id is None or _is_open(object_id))

    @action(
        description="Acknowledge",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["acknowledge"],
        dialog=confirm(
            "Acknowledge this alarm?",
            "Tells your colleagues that someone takes care of it, and stops the reminders. The alarm is cleared"
            " automatically when it is over.",
            "Acknowledge",
            NoteForm,
        ),
    )
    def acknowledge_one(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Record who takes care of the alarm, with a note."""
        alarm = get_object_or_404(Alarm, pk=object_id)
        acknowledge(alarm, form.cleaned_data["reason"], by=staff(request), now=timezone.now())
        return open_page(request, alarm.get_absolute_url(), "Acknowledged. No more reminders are sent.")


def _is_open(object_id: Any) -> bool:
    return str(object_id).isdecimal() and Alarm.objects.open().filter(pk=object_id).exists()
