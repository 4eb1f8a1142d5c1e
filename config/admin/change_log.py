"""The change log in the admin."""

from typing import Any

from auditlog.admin import LogEntryAdmin as BaseLogEntryAdmin
from auditlog.models import LogEntry
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import localtime, now
from unfold.decorators import display

from config.change_log.models import ChangeSeal
from config.change_log.sealing import seal_entries
from config.change_log.status import read_status
from config.change_log.verifying import check_change_log
from config.office.base import BaseAdmin
from config.office.dialogs import action, confirm, open_page, staff
from config.office.filters import RangeDateTimeFilter
from config.office.history import change_of
from config.office.wording import code
from config.personal_data.entries import about_customers, read_entry, with_keys

admin.site.unregister(LogEntry)  # the library's admin class has none of Unfold's styles


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

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> LogEntry | None:
        """Return the entry with its personal values decrypted: its name is in the page's title."""
        entry: LogEntry | None = super().get_object(request, object_id, from_field)
        return entry if entry is None else read_entry(entry)

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
