"""Reminders in the admin: the list of what was done, and tasks to handle."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import display

from billing.admin.emails.email_admin import VARIANTS
from billing.admin.shared import link, money_cell
from billing.models import EmailState, Reminder
from billing.models.reminders import describe_days
from billing.reminders.taking import mark_reminder_handled
from config.office.dialogs import OptionalReasonForm, action, carry_out, staff
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment


class TaskFilter(DropdownFilter):
    """Filter by tasks that no one has handled."""

    title = "To do"
    parameter_name = "to_do"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Tasks that no one has handled")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(pk__in=Reminder.objects.to_do()) if self.value() == "yes" else queryset


@admin.register(Reminder)
class ReminderAdmin(LongListAdmin):
    """Steps that were taken for unpaid invoices, newest first."""

    list_display = ("taken", "customer_name", "invoice_number", "step", "money", "email_badge", "effects")
    list_display_links = ("taken",)
    list_select_related = ("invoice__customer", "email", "fee_invoice")
    list_filter = (TaskFilter, ("invoice__customer", AutocompleteSelectFilter))
    list_before_template = "admin/billing/reminder/links.html"
    search_fields = ("invoice__customer__name", "invoice__customer__external_id", "invoice__number", "public_id")
    search_help_text = "Customer, invoice or ID"
    fields = (
        *("taken", "customer_link", "invoice_link", "step", "schedule_link", "money", "email_link", "fee_link"),
        *("paused", "task", "note", "handled", "handled_reason", "id_text"),
    )
    readonly_fields = fields
    actions_detail = ("handle_one",)
    shows_history = True
    empty_icon = "schedule_send"
    empty_title = "No reminders yet"
    empty_text = "Add a schedule at Settings → Reminder schedules, and choose the day from which it reminds."
    export_columns = (
        ("ID", "public_id"),
        ("Date", "taken_on"),
        ("Customer", lambda reminder: reminder.invoice.customer.name),
        ("Invoice", lambda reminder: reminder.invoice.number),
        ("Days after the due date", "days"),
        ("Left to pay", "amount"),
        ("Currency", lambda reminder: reminder.invoice.currency),
        ("Email", lambda reminder: reminder.email.get_state_display() if reminder.email else ""),
        ("Late fee", lambda reminder: str(reminder.fee_invoice or "")),
        ("Note", "note"),
        ("Handled at (UTC)", "handled_at"),
    )

    @display(description="Date")
    def taken(self, reminder: Reminder) -> str:
        return str(reminder.taken_on)

    @display(description="Customer")
    def customer_name(self, reminder: Reminder) -> str:
        return str(reminder.invoice.customer)

    @display(description="Invoice")
    def invoice_number(self, reminder: Reminder) -> str:
        return str(reminder.invoice)

    @display(description="Step")
    def step(self, reminder: Reminder) -> str:
        return describe_days(reminder.days)

    @display(description="Left to pay")
    def money(self, reminder: Reminder) -> SafeString:
        return money_cell(reminder.amount, reminder.invoice.currency)

    @display(description="Email")
    def email_badge(self, reminder: Reminder) -> SafeString | str:
        email = reminder.email
        if email is None:
            return "–"
        return badge(email.get_state_display(), VARIANTS[EmailState(email.state)], title=email.last_error)

    @display(description="Also")
    def effects(self, reminder: Reminder) -> str:
        parts = [
            "late fee" if reminder.fee_invoice_id else "",
            "subscription paused" if reminder.has_paused else "",
            ("task handled" if reminder.handled_at else "task") if reminder.needs_person else "",
        ]
        return ", ".join(filter(None, parts)) or "–"

    @display(description="Customer")
    def customer_link(self, reminder: Reminder) -> SafeString | str:
        return link(reminder.invoice.customer)

    @display(description="Invoice")
    def invoice_link(self, reminder: Reminder) -> SafeString | str:
        return link(reminder.invoice)

    @display(description="Schedule")
    def schedule_link(self, reminder: Reminder) -> SafeString | str:
        return link(reminder.schedule)

    @display(description="Email")
    def email_link(self, reminder: Reminder) -> SafeString | str:
        return link(reminder.email)

    @display(description="Late fee")
    def fee_link(self, reminder: Reminder) -> SafeString | str:
        return link(reminder.fee_invoice)

    @display(description="Subscription paused")
    def paused(self, reminder: Reminder) -> str:
        return "yes" if reminder.has_paused else "no"

    @display(description="Task")
    def task(self, reminder: Reminder) -> str:
        if not reminder.needs_person:
            return "–"
        return "handled" if reminder.handled_at else "to do: decide how to collect this invoice"

    @display(description="Handled")
    def handled(self, reminder: Reminder) -> str:
        by = f" by {reminder.handled_by}" if reminder.handled_by else ""
        return f"{moment(reminder.handled_at)}{by}" if not by else f"{reminder.handled_at:%Y-%m-%d %H:%M} UTC{by}"

    @display(description="ID")
    def id_text(self, reminder: Reminder) -> SafeString:
        return code(reminder.public_id)

    def has_handle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        tasks = Reminder.objects.filter(pk=object_id or 0, needs_person=True, handled_at=None)
        return bool(request.user.has_perm("billing.change_reminder")) and tasks.exists()

    @action(
        description="Mark as handled",
        icon="check",
        permissions=["handle"],
        dialog={
            "title": "Mark this task as handled?",
            "description": "It leaves the tasks on Home. Reminders go on unless you pause them.",
            "form_class": OptionalReasonForm,
            "form_submit_text": "Mark as handled",
        },
    )
    def handle_one(self, request: HttpRequest, form: OptionalReasonForm, object_id: int) -> HttpResponse:
        """Note that someone took care of the task."""
        reminder, reason = get_object_or_404(Reminder, pk=object_id), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: mark_reminder_handled(reminder, reason=reason, now=timezone.now(), by=staff(request)),
            done="The task is marked as handled.",
            then=reminder.get_absolute_url(),
        )
