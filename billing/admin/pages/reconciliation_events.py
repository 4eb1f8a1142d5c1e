"""The events behind a number of the reconciliation, as a page and a file."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from billing.admin.pages.reconciliation import may_view, read_customer, read_feature, scope_query
from billing.models import CompanyProfile
from billing.month_end.months import Month
from billing.month_end.reconciliation import month_of
from billing.month_end.reconciliation_entries import ROWS, Entry, label_of, list_entries
from config.office.files import table_file
from config.office.pages import AdminPage
from events.links import event_url
from events.overview.reconciliation import Outcome

SHOWN = 200
HEADINGS = ("occurred_at", "event_id", "event_name", "external_customer_id", "feature")


class ReconciliationEvents(AdminPage):
    """Show the first events of a row, by default the counted ones; download all if `format` is csv or xlsx."""

    template_name = "admin/billing/reconciliation/events.html"

    def has_permission(self) -> bool:
        return super().has_permission() and may_view(self.request)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        now, row_name = timezone.now(), request.GET.get("row", Outcome.COUNTED.value)
        try:
            month = Month.named(request.GET["month"]) if "month" in request.GET else month_of(now)
            row = ROWS[row_name]
        except (ValueError, KeyError) as error:
            raise Http404 from error
        customer, feature = read_customer(request), read_feature(request)
        if request.GET.get("external_id") and customer is None:
            raise Http404
        entries = list_entries(month, row, now=now, customer=customer, feature=feature)
        if request.GET.get("format") in ("csv", "xlsx"):
            name = f"reconciliation-{month}-{row_name}"
            return table_file(HEADINGS, _table(entries), name=name, file_format=request.GET["format"])
        shown = list(islice(entries, SHOWN + 1))
        query = urlencode(scope_query(month, customer, feature))
        return self.render(
            title=label_of(row),
            month=month,
            customer=customer,
            feature=feature,
            zone=CompanyProfile.current().timezone,
            entries=[(entry, event_url(entry.event.event_id)) for entry in shown[:SHOWN]],
            has_more=len(shown) > SHOWN,
            has_features=any(entry.feature for entry in shown),
            back_url=f"{reverse('admin:billing_reconciliation')}?{query}",
            query=f"{query}&{urlencode({'row': row_name})}",
        )


def _table(entries: Iterator[Entry]) -> Iterator[Sequence[Any]]:
    for entry in entries:
        event, feature = entry.event, entry.feature.name if entry.feature else ""
        yield event.occurred_at, event.event_id, event.event_name, event.external_customer_id, feature
