"""What the workers did: batches, large replays, and checks of usage against the ledger."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import BigIntegerField, OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from catalog.models import Feature
from config.office.filters import RangeDateTimeFilter
from config.office.keyset import Keyset
from config.office.readonly import LongListAdmin, ReadOnlyAdmin
from config.office.wording import badge, moment
from customers.models import Customer
from events.ledger.rebuilding import FIRST, LAST
from events.models import MendingRun, ProcessedBatch, UsageCheck


def _number(value: int) -> SafeString:
    return format_html('<span class="ch-number">{}</span>', f"{value:,}")


def _named(model: Any, key: str) -> Subquery:
    """Look up the name of what a check's scope gives by id."""
    given = Cast(KeyTextTransform(key, OuterRef("scope")), BigIntegerField())
    return Subquery(model.objects.filter(pk=given).values("name"))


@admin.register(ProcessedBatch)
class ProcessedBatchAdmin(LongListAdmin):
    """One row for every transaction of the worker that took events from the inbox."""

    keyset = Keyset("finished_at")
    ordering = ("-finished_at",)
    list_display = ("finished", "took", "waited", "taken", "counted_text", "partly_text", "problems_text", "repeats")
    list_filter = (("finished_at", RangeDateTimeFilter),)
    fields = (
        *("started_at", "finished_at", "oldest_received_at", "events", "counted", "partly", "problems"),
        *("duplicates", "conflicts"),
    )
    empty_title = "No batch in this time"
    empty_text = "A batch is logged when waiting events are processed. Without events there are none."

    @display(description="Finished (UTC)")
    def finished(self, batch: ProcessedBatch) -> str:
        return moment(batch.finished_at)

    @display(description="Took")
    def took(self, batch: ProcessedBatch) -> str:
        return f"{(batch.finished_at - batch.started_at).total_seconds():.2f} s"

    @display(description="Oldest had waited")
    def waited(self, batch: ProcessedBatch) -> str:
        return f"{(batch.finished_at - batch.oldest_received_at).total_seconds():.2f} s"

    @display(description="Events", formatting="price")
    def taken(self, batch: ProcessedBatch) -> SafeString:
        return _number(batch.events)

    @display(description="Counted", formatting="price")
    def counted_text(self, batch: ProcessedBatch) -> SafeString:
        return _number(batch.counted)

    @display(description="Partly", formatting="price")
    def partly_text(self, batch: ProcessedBatch) -> SafeString:
        return _number(batch.partly)

    @display(description="Problems", formatting="price")
    def problems_text(self, batch: ProcessedBatch) -> SafeString:
        return _number(batch.problems)

    @display(description="Duplicates", formatting="price")
    def repeats(self, batch: ProcessedBatch) -> SafeString:
        if not batch.conflicts:
            return _number(batch.duplicates)
        noted = badge(f"{batch.conflicts:,} with another body", "warning")
        return format_html('<span class="ch-number">{} {}</span>', noted, f"{batch.duplicates:,}")


@admin.register(UsageCheck)
class UsageCheckAdmin(ReadOnlyAdmin):
    """Every recount of usage from the ledger: what was compared, what differed, and whether it was put right."""

    list_display = ("started", "scope_text", "compared", "result", "applied", "started_by", "reason")
    list_select_related = ("started_by",)
    list_filter = (("started_at", RangeDateTimeFilter),)
    sortable_by = ()
    fields = (
        *("started_at", "finished_at", "scope_text", "buckets", "differing", "differences", "applied_at"),
        *("started_by", "reason"),
    )
    empty_title = "Usage was not checked yet"
    empty_text = "Every night it is counted anew from the events and compared; `manage.py rebuild_usage` does so now."

    @display(description="Started (UTC)")
    def started(self, check: UsageCheck) -> str:
        return moment(check.started_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageCheck]:
        rows: QuerySet[UsageCheck] = super().get_queryset(request)
        return rows.annotate(feature_name=_named(Feature, "feature"), customer_name=_named(Customer, "customer"))

    @display(description="Of")
    def scope_text(self, check: Any) -> str:
        """Say in words what was compared: whose usage of what, and from when to when."""
        of = f" of {check.customer_name}" if check.customer_name else ""
        edges = [check.scope.get(name) for name in ("start", "end")]
        limits = [
            f"{word} {datetime.fromisoformat(edge):%Y-%m-%d %H:%M} UTC"
            for word, edge, open_end in zip(("from", "until"), edges, (FIRST, LAST), strict=True)
            if edge and edge != open_end.isoformat()
        ]
        return f"{check.feature_name or 'All features'}{of}, {' '.join(limits) or 'all time'}"

    @display(description="Hours compared", formatting="price")
    def compared(self, check: UsageCheck) -> SafeString:
        return _number(check.buckets)

    @display(description="Result")
    def result(self, check: UsageCheck) -> SafeString:
        if check.finished_at is None:
            return badge("running", "info")
        return badge(f"{check.differing:,} differ", "danger") if check.differing else badge("equal", "success")

    @display(description="Applied (UTC)")
    def applied(self, check: Any) -> str:
        return moment(check.applied_at)


@admin.register(MendingRun)
class MendingRunAdmin(ReadOnlyAdmin):
    """Replays and dismissals of many problems, with their progress. A worker does them."""

    change_form_template = "admin/events/mendingrun/change_form.html"
    list_display = ("started", "what", "state_text", "progress", "closed_text", "open_text", "started_by", "reason")
    list_select_related = ("started_by",)
    list_filter = (("started_at", RangeDateTimeFilter),)
    sortable_by = ()
    fields = ()
    empty_title = "No large replay yet"
    empty_link = ("Problems by cause", "events_problem_causes")
    empty_text = (
        "More than 20,000 problems are replayed or dismissed in the background. Begin with a cause in Problems."
    )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.progress_view)
        return [path("<int:run_id>/progress/", view, name="events_mendingrun_progress"), *super().get_urls()]

    def progress_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Answer with the progress alone, which the page asks for every two seconds. For staff who may view runs."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = get_object_or_404(MendingRun.objects.select_related("started_by"), pk=run_id)
        return render(request, "admin/events/mendingrun/progress.html", progress_of(run))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        known = object_id.isdecimal() and len(object_id) < 19
        run = MendingRun.objects.select_related("started_by").filter(pk=object_id).first() if known else None
        context = (extra_context or {}) | (progress_of(run) | {"title": str(run)} if run else {})
        return super().change_view(request, object_id, form_url, context)

    @display(description="Started (UTC)")
    def started(self, run: MendingRun) -> str:
        return moment(run.started_at)

    @display(description="What")
    def what(self, run: MendingRun) -> str:
        return f"{run.get_kind_display()}: {run.title}"

    @display(description="State")
    def state_text(self, run: MendingRun) -> SafeString:
        return badge("running", "info") if run.finished_at is None else badge("finished", "success")

    @display(description="Events", formatting="price")
    def progress(self, run: MendingRun) -> SafeString:
        of = "" if run.events is None else f" of {run.events:,}"
        return format_html('<span class="ch-number">{}{}</span>', f"{run.done:,}", of)

    @display(description="Problems closed", formatting="price")
    def closed_text(self, run: MendingRun) -> SafeString:
        return _number(run.closed)

    @display(description="Still open", formatting="price")
    def open_text(self, run: MendingRun) -> SafeString:
        return _number(run.still_open)


def progress_of(run: MendingRun) -> dict[str, Any]:
    """Collect what the progress shows. The time left is judged by the rate so far."""
    now = timezone.now()
    seconds = max(((run.finished_at or now) - run.started_at).total_seconds(), 0.001)
    left = max((run.events or 0) - run.done, 0)
    share = 100 if run.finished_at else min(99, run.done * 100 // run.events) if run.events else 0
    return {
        "run": run,
        "percent": share,
        "seconds": seconds,
        "seconds_left": left / (run.done / seconds) if run.done and not run.finished_at else None,
    }
