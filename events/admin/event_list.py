"""Pages of the ledger: what of it a filter looks through, and what each event on a page means."""

from django.db.models import Max, Min
from django.http import HttpRequest

from config.office.keyset import BoundedScanChangeList
from events.admin.meters import Meters
from events.models import Event, EventState, Problem, ProblemState
from events.reasons import Reason

STRETCH = 200_000  # events that a page looks through for what has no index


class EventChangeList(BoundedScanChangeList):
    """A page of events, each with what it means and what keeps it from counting: three queries for them all.

    A name, a source, a property or a time of occurrence has no index of its own: a page looks through 200,000 events
    for it, and leads on.
    """

    def stretch_of(self, request: HttpRequest) -> int | None:
        given = {name for name, value in request.GET.items() if value}
        is_found = given & {"q", "ids", "customer__id__exact"}
        unindexed = given & {"event_name", "source", "property", "occurred_at_from_0", "occurred_at_to_0"}
        return STRETCH if unindexed and not is_found else None

    def keys(self) -> tuple[int, int]:
        ends = Event.objects.aggregate(first=Min("pk"), last=Max("pk"))
        first = [spec.first_id for spec in self.filter_specs if getattr(spec, "first_id", None) is not None]
        last = [spec.last_id for spec in self.filter_specs if getattr(spec, "last_id", None) is not None]
        return max([ends["first"] or 0, *first]), min([ends["last"] or 0, *last])

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.looked_through:
            reached = Event.objects.filter(pk__gte=self.floor).order_by("pk").values_list("received_at", flat=True)
            self.looked_since = reached.first()
        meters = Meters.load()
        troubled = [row.pk for row in self.result_list if row.state in (EventState.PARTLY, EventState.PROBLEM)]
        reasons: dict[int, list[str]] = {}
        for event_id, reason in (
            Problem.objects.filter(event__in=troubled, state=ProblemState.OPEN).values_list("event_id", "reason")
            if troubled
            else ()
        ):
            reasons.setdefault(event_id, []).append(str(Reason(reason).label))
        for row in self.result_list:
            row.measured = meters.values_of_interest(row)
            row.open_reasons = sorted(set(reasons.get(row.pk, [])))
