"""A month end calculated by workers, for more customers than a page can wait for: in chunks, each a transaction.

A chunk whose worker is killed is undone and claimed by another worker. Each month has one unfinished report at a time.
"""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, Sum

from billing.models import MonthEndChunk, MonthEndReport
from billing.month_end import customer_ranges
from billing.month_end.months import Month
from billing.month_end.totals import ChunkTotals, compute_chunk
from config.jobs import claim, cut_into_ranges, percent_done
from customers.models import Customer

MOST_OFFERED = 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of a report's customers are done."""

    report: MonthEndReport
    done: int

    @property
    def percent(self) -> int:
        return percent_done(self.done, self.report.customers)


@transaction.atomic
def start(month: Month, *, now: datetime, by: User | None) -> MonthEndReport:
    """Start a new report of a month, or return its unfinished report."""
    report, is_new = MonthEndReport.objects.get_or_create(
        month=month.first, finished_at=None, defaults={"as_of": now, "started_by": by}
    )
    if is_new:
        ranges = cut_into_ranges(Customer.objects.values("pk"), customer_ranges.SIZE)
        MonthEndChunk.objects.bulk_create(
            MonthEndChunk(report=report, first_id=ids.first_id, last_id=ids.last_id, customers=ids.size)
            for ids in ranges
        )
        report.customers = sum(ids.size for ids in ranges)
        report.save(update_fields=["customers"])
        _finish_if_done(report.pk, now=now)
        report.refresh_from_db()
    return report


def finished(month: Month) -> list[MonthEndReport]:
    """List the finished reports of a month, newest first, at most twenty."""
    reports = MonthEndReport.objects.filter(month=month.first, finished_at__isnull=False)
    return list(reports.select_related("started_by").order_by("-as_of", "-pk")[:MOST_OFFERED])


def progress(month: Month) -> Progress | None:
    """Return the progress of a month's unfinished report, if there is one."""
    report = MonthEndReport.objects.filter(month=month.first, finished_at=None).select_related("started_by").first()
    if report is None:
        return None
    done = report.chunks.aggregate(done=Sum("customers", filter=Q(finished_at__isnull=False)))["done"]
    return Progress(report, done or 0)


def unfinished() -> list[int]:
    """List the unfinished reports, oldest first."""
    return list(MonthEndReport.objects.filter(finished_at=None).order_by("as_of", "pk").values_list("pk", flat=True))


def calculate_chunk(report_id: int, *, now: datetime) -> bool:
    """Calculate a report's next chunk and save its totals in one transaction; return whether there was one.

    Chunks that other workers hold are skipped. The worker that finishes the last chunk finishes the report.
    """
    with transaction.atomic():
        chunks = MonthEndChunk.objects.filter(report=report_id).select_related("report").order_by("first_id")
        chunk = claim(chunks)
        if chunk is not None:
            customers = customer_ranges.CustomerRange(chunk.first_id, chunk.last_id)
            totals = compute_chunk(Month(chunk.report.month), customers, now=chunk.report.as_of)
            chunk.found, chunk.finished_at = totals.as_json(), now
            chunk.save(update_fields=["found", "finished_at"])
    _finish_if_done(report_id, now=now)
    return chunk is not None


@transaction.atomic
def _finish_if_done(report_id: int, *, now: datetime) -> None:
    """Add up the chunks once all of them are finished. Safe to repeat and to run concurrently."""
    report = MonthEndReport.objects.select_for_update().get(pk=report_id)
    if report.finished_at is not None or report.chunks.filter(finished_at=None).exists():
        return
    totals = ChunkTotals()
    for chunk_totals in report.chunks.order_by("first_id").values_list("found", flat=True).iterator(100):
        totals.add(ChunkTotals.from_json(chunk_totals))
    report.found, report.finished_at = totals.as_json(), now
    report.save(update_fields=["found", "finished_at"])
    report.chunks.all().delete()
