"""What the workers did: batches, and checks of usage against the ledger."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from events.admin.readonly import LongListAdmin, ReadOnlyAdmin, badge, moment
from events.models import ProcessedBatch, UsageCheck
from events.paginators import Keyset


def _number(value: int) -> SafeString:
    return format_html('<span class="ch-number">{}</span>', f"{value:,}")


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

    @display(description="Finished")
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

    @display(description="Duplicates")
    def repeats(self, batch: ProcessedBatch) -> SafeString:
        if not batch.conflicts:
            return _number(batch.duplicates)
        return format_html("{} {}", _number(batch.duplicates), badge(f"{batch.conflicts:,} conflicts", "warning"))


@admin.register(UsageCheck)
class UsageCheckAdmin(ReadOnlyAdmin):
    """Every recount of usage from the ledger: what was compared, what differed, and whether it was put right."""

    list_display = ("started", "scope_text", "compared", "result", "applied", "started_by", "reason")
    list_select_related = ("started_by",)
    list_filter = (("started_at", RangeDateTimeFilter),)
    sortable_by = ()
    fields = (
        *("started_at", "finished_at", "scope", "buckets", "differing", "differences", "applied_at"),
        *("started_by", "reason"),
    )
    empty_title = "Usage was not checked yet"
    empty_text = "Every night it is counted anew from the events and compared; `manage.py rebuild_usage` does so now."

    @display(description="Started")
    def started(self, check: UsageCheck) -> str:
        return moment(check.started_at)

    @display(description="Of")
    def scope_text(self, check: UsageCheck) -> str:
        given = {key: value for key, value in check.scope.items() if value is not None}
        return ", ".join(f"{key} {value}" for key, value in given.items()) or "Everything"

    @display(description="Hours compared", formatting="price")
    def compared(self, check: UsageCheck) -> SafeString:
        return _number(check.buckets)

    @display(description="Result")
    def result(self, check: UsageCheck) -> SafeString:
        if check.finished_at is None:
            return badge("running", "info")
        return badge(f"{check.differing:,} differ", "danger") if check.differing else badge("equal", "success")

    @display(description="Applied")
    def applied(self, check: Any) -> str:
        return moment(check.applied_at)
