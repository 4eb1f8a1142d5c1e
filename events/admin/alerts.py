"""Usage alerts and the periods in which they were reached."""

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, BooleanRadioFilter
from unfold.decorators import display

from config.numbers import number
from config.office.base import AuditedHistory, BaseAdmin
from config.office.dialogs import staff
from config.office.wording import moment, number_cell
from events.models import UsageAlert, UsageAlertFiring


class FiringsInline(TabularInline):
    """The billing periods in which an alert was reached."""

    model = UsageAlertFiring
    fields = ("fired", "period", "amount")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_title = False
    verbose_name_plural = "Reached"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("alert__subscription")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("events.view_usagealert"))

    @display(description="Reached at")
    def fired(self, firing: UsageAlertFiring) -> str:
        return moment(firing.fired_at)

    @display(description="Billing period")
    def period(self, firing: UsageAlertFiring) -> str:
        zone = ZoneInfo(firing.alert.subscription.timezone)
        start, end = firing.period_start.astimezone(zone), firing.period_end.astimezone(zone)
        return f"{start:%Y-%m-%d} – {end:%Y-%m-%d}"

    @display(description="Usage at that time")
    def amount(self, firing: UsageAlertFiring) -> str:
        return number(firing.quantity)


@admin.register(UsageAlert)
class UsageAlertAdmin(AuditedHistory, BaseAdmin):
    """Alerts on usage. Webhook endpoints receive them as `usage.threshold_reached`."""

    actions: Any = None
    list_display = ("subscription", "feature", "quantity", "is_enabled", "created_by")
    list_filter = (
        ("subscription__customer", AutocompleteSelectFilter),
        ("feature", AutocompleteSelectFilter),
        ("is_enabled", BooleanRadioFilter),
    )
    list_select_related = ("subscription__customer", "feature", "created_by")
    search_fields = (
        "public_id",
        "subscription__customer__external_id",
        "subscription__customer__name",
        "feature__name",
    )
    autocomplete_fields = ("subscription", "feature")
    fields = ("subscription", "feature", "threshold", "is_enabled")
    inlines = (FiringsInline,)
    empty_title = "No usage alerts yet"
    empty_text = "An alert notifies webhook endpoints, once per billing period, when usage reaches a quantity."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("subscription", "feature", "quantity", "is_enabled") if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("subscription", "feature", "quantity") if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def save_model(self, request: HttpRequest, obj: UsageAlert, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = staff(request)
        elif "is_enabled" in form.changed_data:
            obj.checked_until = timezone.now()  # periods that ended while it was disabled aren't looked at
        super().save_model(request, obj, form, change)

    @display(description="Threshold", ordering="threshold")
    def quantity(self, alert: UsageAlert) -> SafeString:
        return number_cell(alert.threshold)
