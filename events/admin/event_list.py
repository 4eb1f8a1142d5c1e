"""The change list of events: limits scans of the ledger, and adds values and open problems to each page."""

from django.db.models import Max, Min
from django.http import HttpRequest

from config.office.keyset import BoundedScanChangeList
from events.admin.meters import Meters
from events.models import Event, EventState, Problem, ProblemState
from events.reasons import Reason

UNINDEXED = {"event_name", "counts_for", "source", "property", "occurred_at_from_0", "occurred_at_to_0"}
SCAN_LIMIT = 100_000  # events that a page scans for a filter without an index


class EventChangeList(BoundedScanChangeList):
    """A page of events with their values and open problems, which take three queries.

    Event names, sources, properties and times of occurrence have no index: a page scans up to 100,000 events for
    them and links to the next ones.
    """

    def scan_limit_of(self, request: HttpRequest) -> int | None:
        filters = {name for name, value in request.GET.items() if value}
        indexed = filters & {"q", "ids", "customer__id__exact"}
        return SCAN_LIMIT if filters & UNINDEXED and not indexed else None

    def keys(self) -> tuple[int, int]:
        ends = Event.objects.aggregate(first=Min("pk"), last=Max("pk"))
        first = [spec.first_id for spec in self.filter_specs if getattr(spec, "first_id", None) is not None]
        last = [spec.last_id for spec in self.filter_specs if getattr(spec, "last_id", None) is not None]
        return max([ends["first"] or 0, *first]), min([ends["last"] or 0, *last])

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.looked_through:
            scanned = Event.objects.filter(pk__gte=self.floor).order_by("pk")
            self.looked_since = scanned.values_list("received_at", flat=True).first()
        meters = Meters.load()
        with_problems = [row.pk for row in self.result_list if row.state in (EventState.PARTLY, EventState.PROBLEM)]
        reasons: dict[int, list[str]] = {}
        for event_id, reason in (
            Problem.objects.filter(event__in=with_problems, state=ProblemState.OPEN).values_list("event_id", "reason")
            if with_problems
            else ()
        ):
            reasons.setdefault(event_id, []).append(str(Reason(reason).label))
        for row in self.result_list:
            row.measured = meters.values_of_interest(row)
            row.open_reasons = sorted(set(reasons.get(row.pk, [])))
