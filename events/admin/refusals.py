"""Requests rejected with a 4xx status. Only this log of them is stored."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from config.office.filters import RangeDateTimeFilter
from config.office.keyset import Keyset
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment, number_cell
from events.admin.filters import ExactTextFilter
from events.models import RefusedRequest
from events.reasons import EXPLANATIONS, Reason

STATUSES = {
    400: Reason.BAD_REQUEST,
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    413: Reason.TOO_LARGE,
    429: Reason.RATE_LIMITED,
}


class StatusFilter(DropdownFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: object, model_admin: object) -> list[tuple[str, str]]:
        return [(str(status), str(reason.label)) for status, reason in STATUSES.items()]

    def queryset(self, request: object, queryset: object) -> object:
        value = self.value() or ""
        return queryset.filter(status=int(value)) if value.isdecimal() and len(value) == 3 else queryset  # type: ignore[attr-defined]


class KeyPrefixFilter(ExactTextFilter):
    title = "key prefix"
    parameter_name = column = "key_prefix"


@admin.register(RefusedRequest)
class RefusedRequestAdmin(LongListAdmin):
    """Rejected requests, newest first. Identical requests within a minute share a row; those of strangers, an hour."""

    keyset = Keyset("last_at")
    ordering = ("-last_at",)
    list_display = ("last", "status_badge", "times", "key_text", "path", "field_text", "what", "origin", "advice")
    list_filter = (StatusFilter, KeyPrefixFilter, ("last_at", RangeDateTimeFilter))
    fields = ("last_at", "minute", "status", "reason", "count", "key_prefix", "path", "field", "message", "origin")
    empty_title = "No refused requests"
    empty_text = "Requests with an invalid key or body, or above the rate limit, appear here."
    export_columns = (
        ("last_at", "last_at"),
        ("status", "status"),
        ("count", "count"),
        ("key_prefix", "key_prefix"),
        ("path", "path"),
        ("field", "field"),
        ("message", "message"),
        ("first_address", "first_address"),
        ("last_address", "last_address"),
    )

    @display(description="Last (UTC)")
    def last(self, row: RefusedRequest) -> str:
        return moment(row.last_at)

    @display(description="Status")
    def status_badge(self, row: RefusedRequest) -> SafeString:
        return badge(str(row.status), "warning" if row.status == 429 else "danger", title=row.get_reason_display())

    @display(description="Times", formatting="price")
    def times(self, row: RefusedRequest) -> SafeString:
        return number_cell(row.count)

    @display(description="Key")
    def key_text(self, row: RefusedRequest) -> SafeString | str:
        return code(f"{row.key_prefix}…") if row.key_prefix else "not valid"

    @display(description="Field")
    def field_text(self, row: RefusedRequest) -> SafeString | str:
        return code(row.field) if row.field else "–"

    @display(description="Message")
    def what(self, row: RefusedRequest) -> SafeString:
        return format_html('<span class="ch-wrap">{}</span>', row.message)

    @display(description="From")
    def origin(self, row: RefusedRequest) -> str:
        addresses = dict.fromkeys(address for address in (row.first_address, row.last_address) if address)
        return " … ".join(addresses) or "–"

    @display(description="What to do")
    def advice(self, row: RefusedRequest) -> SafeString:
        return format_html('<span class="ch-wrap ch-note">{}</span>', EXPLANATIONS[Reason(row.reason)].fix)
