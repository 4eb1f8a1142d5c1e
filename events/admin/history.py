"""Settings → Sealed events: the parts in which settled events are kept."""

from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from config.office.readonly import LongListAdmin
from config.office.wording import badge, moment, number_cell
from events.models import PartState, SealedPart

VARIANTS = {
    PartState.PLANNED: "info",
    PartState.PUBLISHED: "info",
    PartState.SEALED: "success",
    PartState.REMOVED: "",
}


@admin.register(SealedPart)
class SealedPartAdmin(LongListAdmin):
    """Parts of sealed events, newest first."""

    list_title = "Sealed events"
    list_before_template = "admin/events/sealedpart/summary.html"
    list_display = ("name_text", "state_badge", "events", "size_text", "days", "sealed_text")
    list_display_links = ("name_text",)
    fields = (
        *("name", "state_badge", "is_late", "first_event", "last_event", "from_text", "until_text", "number"),
        *("size_text", "checksum", "digest", "returned_text", "planned", "published", "sealed", "removed"),
    )
    readonly_fields = fields
    empty_icon = "inventory_2"
    empty_title = "No sealed events"
    empty_text = "Set EVENT_HISTORY to move settled events out of the database. They are moved every ten minutes."
    export_columns = (
        ("name", "name"),
        ("status", lambda part: part.get_state_display()),
        ("events", "rows"),
        ("bytes", "bytes"),
        ("occurred_from", "occurred_from"),
        ("occurred_until", "occurred_until"),
        ("returned", "returned"),
        ("published_at", "published_at"),
        ("sealed_at", "sealed_at"),
        ("sha256", "digest"),
    )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the parts below how much is sealed, and where."""
        sealed = SealedPart.objects.readable().aggregate(events=Sum("rows"), parts=Count("pk"), bytes=Sum("bytes"))
        return super().changelist_view(request, {"sealed": sealed, "store": _store()} | (extra_context or {}))

    @display(description="Name")
    def name_text(self, part: SealedPart) -> SafeString:
        """Show the name on one line, and below it how many events are in the ledger again."""
        returned = f"{part.returned:,} back in the ledger"
        note = format_html('<div class="ch-note">{}</div>', returned) if part.returned else ""
        return format_html('<span class="ch-mono ch-nowrap">{}</span>{}', part.name, note)

    @display(description="Status")
    def state_badge(self, part: SealedPart) -> SafeString:
        return badge(part.get_state_display(), VARIANTS[PartState(part.state)])

    @display(description="Events", formatting="price")
    def events(self, part: SealedPart) -> SafeString | str:
        return "–" if part.rows is None else number_cell(part.rows)

    @display(description="Events")
    def number(self, part: SealedPart) -> str:
        return "–" if part.rows is None else f"{part.rows:,}"

    @display(description="Size")
    def size_text(self, part: SealedPart) -> str:
        return filesizeformat(part.bytes) if part.bytes else "–"

    @display(description="Occurred (UTC)")
    def days(self, part: SealedPart) -> SafeString | str:
        """Show the days on which its first and its last event occurred."""
        if part.occurred_from is None or part.occurred_until is None:
            return "–"
        first, last = (f"{at.astimezone(UTC):%Y-%m-%d}" for at in (part.occurred_from, part.occurred_until))
        return format_html('<span class="ch-nowrap">{}</span>', first if first == last else f"{first} – {last}")

    @display(description="Occurred from (UTC)")
    def from_text(self, part: SealedPart) -> str:
        return moment(part.occurred_from)

    @display(description="Occurred until (UTC)")
    def until_text(self, part: SealedPart) -> str:
        return moment(part.occurred_until)

    @display(description="Back in the ledger")
    def returned_text(self, part: SealedPart) -> str:
        return f"{part.returned:,}"

    @display(description="Planned (UTC)")
    def planned(self, part: SealedPart) -> str:
        return moment(part.planned_at)

    @display(description="Published (UTC)")
    def published(self, part: SealedPart) -> str:
        return moment(part.published_at)

    @display(description="Sealed (UTC)")
    def sealed(self, part: SealedPart) -> str:
        return moment(part.sealed_at)

    @display(description="Sealed (UTC)")
    def sealed_text(self, part: SealedPart) -> str:
        return moment(part.sealed_at, seconds=False)

    @display(description="Removed (UTC)")
    def removed(self, part: SealedPart) -> str:
        return moment(part.removed_at)


def _store() -> str:
    """Return the address of the store without its password and options."""
    url = urlsplit(settings.EVENT_HISTORY)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
