"""The page with the events that an invoice line counts, and their download."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404

from billing.admin import documents
from billing.explanation.line_events import list_events, position_of, read_position
from billing.explanation.proof import NotUsage
from billing.models import InvoiceLine
from config.numbers import number
from config.office.pages import AdminPage, AdminView, clean_text
from events.links import event_url

PAGE_SIZE = 100
RELATED = ("invoice__customer", "invoice__subscription", "feature")


class LineEventsPage(AdminPage):
    """List the events that a usage line counts, by time, in pages that cost the same wherever they start.

    The events are read now: those that were counted after the invoice was calculated are marked.
    """

    template_name = "admin/billing/line_events.html"

    def has_permission(self) -> bool:
        return super().has_permission() and self.request.user.has_perm("events.view_event")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        line = get_object_or_404(InvoiceLine.objects.select_related(*RELATED), pk=kwargs["line_id"])
        after = clean_text(request.GET.get("after", ""))
        try:
            events = list(list_events(line, most=PAGE_SIZE + 1, after=read_position(after)))
        except (NotUsage, ValueError) as refusal:
            raise Http404(str(refusal)) from refusal
        page = events[:PAGE_SIZE]
        return self.render(
            title=f"Events of {line.description.partition(' · ')[0]}",
            line=line,
            invoice=line.invoice,
            zone=line.invoice.timezone,
            quantity=number(line.quantity),
            rows=[_row(event, line) for event in page],
            first_page="?" if after else "",
            next_page=f"?after={position_of(page[-1])}" if len(events) > PAGE_SIZE else "",
        )


class LineEventsFile(AdminView):
    """Download the events that a line counts as CSV."""

    def has_permission(self) -> bool:
        return super().has_permission() and self.request.user.has_perm("events.view_event")

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        lines = InvoiceLine.objects.select_related(*RELATED)
        return documents.line_events(get_object_or_404(lines, pk=kwargs["line_id"]))


def _row(event: Any, line: InvoiceLine) -> dict[str, Any]:
    return {
        "event": event,
        "url": event_url(event.event_id),
        "adds": number(event.number) if event.number is not None else "",
        "is_late": event.received_at > line.invoice.computed_at,
    }
