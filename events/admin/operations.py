"""Work done in the background: processed batches, bulk fixes, and checks of usage against the ledger."""

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
from config.office.wording import badge, moment, number_cell
from customers.models import Customer
from events.ledger.rebuilding import FIRST, LAST
from events.models import MendingRun, ProcessedBatch, UsageCheck


def _name_in_scope(model: Any, key: str) -> Subquery:
    """Return the name of the row whose ID is in the scope of a check."""
    object_id = Cast(KeyTextTransform(key, OuterRef("scope")), BigIntegerField())
    return Subquery(model.objects.filter(pk=object_id).values("name"))


@admin.register(ProcessedBatch)
class ProcessedBatchAdmin(LongListAdmin):
    """The transactions in which workers processed waiting events."""

    keyset = Keyset("finished_at")
    ordering = ("-finished_at",)
    list_display = ("finished", "took", "waited", "taken", "counted_text", "partly_text", "problems_text", "repeats")
    list_filter = (("finished_at", RangeDateTimeFilter),)
    fields = (
        *("started_at", "finished_at", "oldest_received_at", "events", "counted", "partly", "problems"),
        *("duplicates", "conflicts"),
    )
    empty_title = "No processed batches"
    empty_text = "A batch is logged whenever waiting events are processed."

    @display(description="Finished (UTC)")
    def finished(self, batch: ProcessedBatch) -> str:
        return moment(batch.finished_at)

    @display(description="Duration")
    def took(self, batch: ProcessedBatch) -> str:
        return f"{(batch.finished_at - batch.started_at).total_seconds():.2f} s"

    @display(description="Longest wait")
    def waited(self, batch: ProcessedBatch) -> str:
        return f"{(batch.finished_at - batch.oldest_received_at).total_seconds():.2f} s"

    @display(description="Events", formatting="price")
    def taken(self, batch: ProcessedBatch) -> SafeString:
        return number_cell(batch.events)

    @display(description="Counted", formatting="price")
    def counted_text(self, batch: ProcessedBatch) -> SafeString:
        return number_cell(batch.counted)

    @display(description="Partly counted", formatting="price")
    def partly_text(self, batch: ProcessedBatch) -> SafeString:
        return number_cell(batch.partly)

    @display(description="Problems", formatting="price")
    def problems_text(self, batch: ProcessedBatch) -> SafeString:
        return number_cell(batch.problems)

    @display(description="Duplicates", formatting="price")
    def repeats(self, batch: ProcessedBatch) -> SafeString:
        if not batch.conflicts:
            return number_cell(batch.duplicates)
        conflicts = badge(f"{batch.conflicts:,} with a different body", "warning")
        return format_html('<span class="ch-number">{} {}</span>', conflicts, f"{batch.duplicates:,}")


@admin.register(UsageCheck)
class UsageCheckAdmin(ReadOnlyAdmin):
    """Recounts of usage from the ledger, with their differences and whether these were corrected."""

    list_display = ("started", "scope_text", "compared", "result", "applied", "started_by", "reason")
    list_select_related = ("started_by",)
    list_filter = (("started_at", RangeDateTimeFilter),)
    sortable_by = ()
    fields = (
        *("started_at", "finished_at", "scope_text", "buckets", "differing", "differences", "applied_at"),
        *("started_by", "reason"),
    )
    empty_title = "No usage checks yet"
    empty_text = "The proofs of every night recount usage. To check all of it now, run “manage.py rebuild_usage”."

    @display(description="Started (UTC)")
    def started(self, check: UsageCheck) -> str:
        return moment(check.started_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageCheck]:
        rows: QuerySet[UsageCheck] = super().get_queryset(request)
        return rows.annotate(
            feature_name=_name_in_scope(Feature, "feature"), customer_name=_name_in_scope(Customer, "customer")
        )

    @display(description="Scope")
    def scope_text(self, check: Any) -> str:
        """Describe what was compared: the feature, the customer and the period."""
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
        return number_cell(check.buckets)

    @display(description="Result")
    def result(self, check: UsageCheck) -> SafeString:
        if check.finished_at is None:
            return badge("running", "info")
        return badge(f"{check.differing:,} differ", "danger") if check.differing else badge("no differences", "success")

    @display(description="Applied (UTC)")
    def applied(self, check: Any) -> str:
        return moment(check.applied_at)


@admin.register(MendingRun)
class MendingRunAdmin(ReadOnlyAdmin):
    """Replays and dismissals of many problems in the background, with their progress."""

    change_form_template = "admin/events/mendingrun/change_form.html"
    list_display = ("started", "what", "state_text", "progress", "closed_text", "open_text", "started_by", "reason")
    list_select_related = ("started_by",)
    list_filter = (("started_at", RangeDateTimeFilter),)
    sortable_by = ()
    fields = ()
    empty_title = "No bulk fixes yet"
    empty_link = ("Problems by cause", "events_problem_causes")
    empty_text = (
        "More than 20,000 problems are replayed or dismissed in the background. Start with a cause in Problems."
    )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.progress_view)
        return [path("<int:run_id>/progress/", view, name="events_mendingrun_progress"), *super().get_urls()]

    def progress_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Show only the progress, which the page loads every two seconds."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = get_object_or_404(MendingRun.objects.select_related("started_by"), pk=run_id)
        return render(request, "admin/events/mendingrun/progress.html", progress_of(run))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        is_number = object_id.isdecimal() and len(object_id) < 19
        run = MendingRun.objects.select_related("started_by").filter(pk=object_id).first() if is_number else None
        context = (extra_context or {}) | (progress_of(run) | {"title": str(run)} if run else {})
        return super().change_view(request, object_id, form_url, context)

    @display(description="Started (UTC)")
    def started(self, run: MendingRun) -> str:
        return moment(run.started_at)

    @display(description="Action")
    def what(self, run: MendingRun) -> str:
        return f"{run.get_kind_display()}: {run.title}"

    @display(description="Status")
    def state_text(self, run: MendingRun) -> SafeString:
        return badge("running", "info") if run.finished_at is None else badge("finished", "success")

    @display(description="Events", formatting="price")
    def progress(self, run: MendingRun) -> SafeString:
        of = "" if run.events is None else f" of {run.events:,}"
        return format_html('<span class="ch-number">{}{}</span>', f"{run.done:,}", of)

    @display(description="Problems closed", formatting="price")
    def closed_text(self, run: MendingRun) -> SafeString:
        return number_cell(run.closed)

    @display(description="Still open", formatting="price")
    def open_text(self, run: MendingRun) -> SafeString:
        return number_cell(run.still_open)


def progress_of(run: MendingRun) -> dict[str, Any]:
    """Return the progress of a run. The remaining time is estimated from the rate so far."""
    now = timezone.now()
    seconds = max(((run.finished_at or now) - run.started_at).total_seconds(), 0.001)
    remaining = max((run.events or 0) - run.done, 0)
    percent = 100 if run.finished_at else min(99, run.done * 100 // run.events) if run.events else 0
    return {
        "run": run,
        "percent": percent,
        "seconds": seconds,
        "seconds_left": remaining / (run.done / seconds) if run.done and not run.finished_at else None,
    }
