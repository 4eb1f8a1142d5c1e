"""Pauses of reminders in the admin: who promised what, what is in dispute, and ending a pause."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm

from billing.admin.shared import link
from billing.models import ReminderPause
from billing.reminders.pausing import end_pause
from billing.reminders.planning import company_day
from config.office.dialogs import action, carry_out, confirm, staff
from config.office.readonly import LongListAdmin
from config.office.wording import badge, moment


class InForceFilter(DropdownFilter):
    """Filter by whether reminders are paused today."""

    title = "Paused today"
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No: ended, or the promised date has passed")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        in_force = ReminderPause.objects.in_force(company_day(timezone.now()))
        if self.value() == "yes":
            return queryset.filter(pk__in=in_force)
        return queryset.exclude(pk__in=in_force) if self.value() == "no" else queryset


@admin.register(ReminderPause)
class ReminderPauseAdmin(LongListAdmin):
    """Pauses of reminders, newest first. They begin on an invoice's or customer's page."""

    list_display = ("created", "customer_name", "about", "show_kind", "promised_on", "reason", "state_badge")
    list_display_links = ("created",)
    list_select_related = ("customer", "invoice")
    list_filter = (InForceFilter, ("kind", ChoicesDropdownFilter), ("customer", AutocompleteSelectFilter))
    search_fields = ("customer__name", "customer__external_id", "invoice__number", "reason")
    search_help_text = "Customer, invoice or reason"
    list_title = "Pauses of reminders"
    fields = (
        *("state_badge", "customer_link", "invoice_link", "show_kind", "promised_on", "reason", "author", "created"),
        "ended",
    )
    readonly_fields = fields
    actions_detail = ("end_one",)
    shows_history = False
    empty_icon = "pause_circle"
    empty_title = "No pauses yet"
    empty_text = "Open an invoice or a customer and select “Pause reminders”, for a dispute or a promise to pay."
    export_columns = (
        ("ID", "public_id"),
        ("Created at (UTC)", "created_at"),
        ("Customer", lambda pause: pause.customer.name),
        ("Invoice", lambda pause: str(pause.invoice or "")),
        ("Why", lambda pause: pause.get_kind_display()),
        ("Promised payment date", "promised_on"),
        ("Reason", "reason"),
        ("Ended at (UTC)", "ended_at"),
    )

    @display(description="Created")
    def created(self, pause: ReminderPause) -> str:
        return moment(pause.created_at, seconds=False)

    @display(description="Customer")
    def customer_name(self, pause: ReminderPause) -> str:
        return str(pause.customer)

    @display(description="Invoice")
    def about(self, pause: ReminderPause) -> str:
        return str(pause.invoice or "all")

    @display(description="Why")
    def show_kind(self, pause: ReminderPause) -> str:
        return pause.get_kind_display()

    @display(description="Status")
    def state_badge(self, pause: ReminderPause) -> SafeString:
        if pause.ended_at is not None:
            return badge("Ended")
        if pause.promised_on is not None and pause.promised_on < company_day(timezone.now()):
            return badge("Promise not kept", "danger")
        return badge("Paused", "warning")

    @display(description="Customer")
    def customer_link(self, pause: ReminderPause) -> SafeString | str:
        return link(pause.customer)

    @display(description="Invoice")
    def invoice_link(self, pause: ReminderPause) -> SafeString | str:
        return link(pause.invoice) if pause.invoice else "all invoices of the customer"

    @display(description="Paused by")
    def author(self, pause: ReminderPause) -> str:
        return str(pause.created_by or "the API")

    @display(description="Ended")
    def ended(self, pause: ReminderPause) -> str:
        return moment(pause.ended_at)

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        pauses = ReminderPause.objects.filter(pk=object_id or 0, ended_at=None)
        return bool(request.user.has_perm("billing.change_reminderpause")) and pauses.exists()

    @action(
        description="Resume reminders",
        icon="play_circle",
        permissions=["end"],
        dialog=confirm(
            "Resume reminders?", "The next run sends the latest reminder that is due for each invoice.", "Resume"
        ),
    )
    def end_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        """End the pause."""
        pause = get_object_or_404(ReminderPause, pk=object_id)
        return carry_out(
            request,
            lambda: end_pause(pause, now=timezone.now(), by=staff(request)),
            done="Reminders go on.",
            then=pause.get_absolute_url(),
        )
