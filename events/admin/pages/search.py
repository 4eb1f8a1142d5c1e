"""The search of all events, in the ledger and sealed, by customer, event name and time."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from config.office.links import admin_url
from config.office.pages import AdminPage, clean_text
from config.refusals import Refused
from events.history.planning import sealed_until
from events.history.stores import StoreFailed
from events.models import EventState
from events.overview.event_list import BadCursor, EventFilters, ListedEvents, cursor_of, list_events

PAGE_SIZE = 50


class SearchForm(forms.Form):
    """What to search for; all of it can be left blank."""

    customer = forms.CharField(required=False)
    name = forms.CharField(required=False)
    start = forms.DateTimeField(required=False, error_messages={"invalid": "Enter a time in “From”."})
    end = forms.DateTimeField(required=False, error_messages={"invalid": "Enter a time in “To”."})

    def filters(self) -> EventFilters:
        """Return the filters of valid input."""
        return EventFilters(
            external_customer_id=self.cleaned_data["customer"],
            event_name=self.cleaned_data["name"],
            start=self.cleaned_data["start"],
            end=self.cleaned_data["end"],
        )


class EventSearch(AdminPage):
    """Search all events, latest arrivals first. The search is in the address, so that it can be shared as a link."""

    permission = "events.view_event"
    title = "Search all events"
    template_name = "admin/events/search.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context: dict[str, Any] = {"requested": request.GET, "sealed_until": sealed_until()}
        if "search" not in request.GET:
            return self.render(**context)
        form = SearchForm(request.GET)
        if not form.is_valid():
            return self.render(
                **context, refusal=" ".join(str(text) for texts in form.errors.values() for text in texts)
            )
        try:
            after = clean_text(request.GET.get("after", ""))
            page = list_events(form.filters(), size=PAGE_SIZE, after=after)
        except (Refused, StoreFailed) as refusal:
            return self.render(**context, refusal=str(refusal))
        except BadCursor:
            return self.render(**context, refusal="This page of the search doesn't exist. Search again.")
        return self.render(**context, rows=[_row(page, event) for event in page.events], **_links(request, page))


def _row(page: ListedEvents, event: Any) -> dict[str, Any]:
    return {
        "event": event,
        "state": EventState(event.state).label,
        "customer": page.customers.get(event.customer_id),
        "url": admin_url("events_event_change", event.pk),
    }


def _links(request: HttpRequest, page: ListedEvents) -> dict[str, str]:
    """Return the addresses of the first page, unless it is this one, and of the next, if there is one."""
    address = request.GET.copy()
    is_first = not address.pop("after", None)
    first = address.urlencode()
    if page.has_more:
        address["after"] = cursor_of(page.events[-1])
    return {
        "first_page": "" if is_first else f"?{first}",
        "next_page": f"?{address.urlencode()}" if page.has_more else "",
    }
