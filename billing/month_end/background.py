"""A month worked out by workers, for more customers than somebody waits for: in chunks, each a transaction.

A killed worker leaves its chunk as it was, to be taken up again. Of one month one report at a time is worked out.
"""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q, Sum

from billing.models import MonthEndChunk, MonthEndReport
from billing.month_end import customer_ranges
from billing.month_end.months import Month
from billing.month_end.totals import ChunkTotals, compute_chunk

MOST_OFFERED = 20
CUT_INTO_CHUNKS = """
    INSERT INTO billing_monthendchunk (report_id, first_id, last_id, customers, found)
    SELECT %s, min(id), max(id), count(*), '{}'
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS part FROM customers_customer) AS numbered
    GROUP BY part
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a report is: customers done, of how many."""

    report: MonthEndReport
    done: int

    @property
    def percent(self) -> int:
        return 100 * self.done // self.report.customers if self.report.customers else 0


@transaction.atomic
def start(month: Month, *, now: datetime, by: User | None) -> MonthEndReport:
    """Begin to work a month out anew, or return the report that is being worked out."""
    report, is_new = MonthEndReport.objects.get_or_create(
        month=month.first, finished_at=None, defaults={"as_of": now, "started_by": by}
    )
    if is_new:
        with connection.cursor() as cursor:
            cursor.execute(CUT_INTO_CHUNKS, [report.pk, customer_ranges.AT_ONCE])
        report.customers = report.chunks.aggregate(all=Sum("customers"))["all"] or 0
        report.save(update_fields=["customers"])
        _finish_if_done(report.pk, now=now)
        report.refresh_from_db()
    return report


def finished(month: Month) -> list[MonthEndReport]:
    """List the reports of a month that are worked out, the newest first, at most twenty."""
    found = MonthEndReport.objects.filter(month=month.first, finished_at__isnull=False)
    return list(found.select_related("started_by").order_by("-as_of", "-pk")[:MOST_OFFERED])


def progress(month: Month) -> Progress | None:
    """Tell how far the report of a month is that is being worked out, if one is."""
    report = MonthEndReport.objects.filter(month=month.first, finished_at=None).select_related("started_by").first()
    if report is None:
        return None
    done = report.chunks.aggregate(done=Sum("customers", filter=Q(finished_at__isnull=False)))["done"]
    return Progress(report, done or 0)


def unfinished() -> list[int]:
    """List the reports that aren't finished, the oldest first."""
    return list(MonthEndReport.objects.filter(finished_at=None).order_by("as_of", "pk").values_list("pk", flat=True))


def take_step(report_id: int, *, now: datetime) -> bool:
    """Work out one chunk and note what was found, in one transaction; tell whether there was one.

    Killed in between, nothing of it is done, and the next call does it. Other workers' chunks aren't waited for: who
    finishes the last one finishes the report.
    """
    with transaction.atomic():
        chunk = _claim(report_id)
        if chunk is not None:
            stretch = customer_ranges.CustomerRange(chunk.first_id, chunk.last_id)
            found = compute_chunk(Month(chunk.report.month), stretch, now=chunk.report.as_of)
            chunk.found, chunk.finished_at = found.as_json(), now
            chunk.save(update_fields=["found", "finished_at"])
    _finish_if_done(report_id, now=now)
    return chunk is not None


def _claim(report_id: int) -> MonthEndChunk | None:
    chunks = MonthEndChunk.objects.select_for_update(skip_locked=True, of=("self",)).select_related("report")
    return chunks.filter(report=report_id, finished_at=None).order_by("first_id").first()


@transaction.atomic
def _finish_if_done(report_id: int, *, now: datetime) -> None:
    """Add the chunks up once all of them are finished. Safe to repeat and to run side by side."""
    report = MonthEndReport.objects.select_for_update().get(pk=report_id)
    if report.finished_at is not None or report.chunks.filter(finished_at=None).exists():
        return
    whole = ChunkTotals()
    for found in report.chunks.order_by("first_id").values_list("found", flat=True).iterator(100):
        whole.add(ChunkTotals.from_json(found))
    report.found, report.finished_at = whole.as_json(), now
    report.save(update_fields=["found", "finished_at"])
    report.chunks.all().delete()
