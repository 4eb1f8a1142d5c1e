"""The events behind a number of the reconciliation, as a page and a file."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from billing.admin.pages.reconciliation import may_view, outcome_url, read_customer, read_feature, scope_query
from billing.models import CompanyProfile
from billing.month_end.months import Month
from billing.month_end.reconciliation import company_month, month_of
from billing.month_end.reconciliation_entries import (
    ELSEWHERE,
    ROWS,
    Entry,
    ReconciliationTotal,
    Row,
    label_of,
    list_entries,
)
from catalog.models import Feature
from config.office.files import table_file
from config.office.pages import AdminPage
from customers.models import Customer
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
        query, zone = urlencode(scope_query(month, customer, feature)), CompanyProfile.current().timezone
        return self.render(
            title=label_of(row),
            month=month,
            customer=customer,
            feature=feature,
            zone=zone,
            entries=[(entry, event_url(entry.event.event_id)) for entry in shown[:SHOWN]],
            has_more=len(shown) > SHOWN,
            elsewhere=list(_elsewhere(row, month, zone, customer, feature)),
            has_features=any(entry.feature for entry in shown),
            back_url=f"{reverse('admin:billing_reconciliation')}?{query}",
            query=f"{query}&{urlencode({'row': row_name})}",
        )


def _elsewhere(
    row: Row, month: Month, zone: str, customer: Customer | None, feature: Feature | None
) -> Iterator[tuple[str, str]]:
    """Yield the lists of received events that aren't in the ledger, as (label, address).

    Their features aren't known, nor the customers of refused requests.
    """
    if row == ReconciliationTotal.RECEIVED and feature is None:
        period = company_month(month, zone)
        for outcome in ELSEWHERE:
            if customer is None or outcome != Outcome.REFUSED:
                yield label_of(outcome), outcome_url(outcome, month, period, customer, feature)


def _table(entries: Iterator[Entry]) -> Iterator[Sequence[Any]]:
    for entry in entries:
        event, feature = entry.event, entry.feature.name if entry.feature else ""
        yield event.occurred_at, event.event_id, event.event_name, event.external_customer_id, feature
