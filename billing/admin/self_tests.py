"""Settings → Self-test: the results, with the time of each stage."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from billing.models import SelfTest
from config.office.filters import RangeDateTimeFilter
from config.office.readonly import LongListAdmin
from config.office.wording import badge, moment


@admin.register(SelfTest)
class SelfTestAdmin(LongListAdmin):
    """Known usage is sent, counted, invoiced, written as PDF and reported by webhook. Nothing of it is stored."""

    list_title = "Self-test"
    list_display = ("started", "result", "took", "stage_times", "problem")
    list_display_links = ("started",)
    list_filter = (("failed_stage", ChoicesDropdownFilter), ("started_at", RangeDateTimeFilter))
    fields = ("started", "result", "took", "stage_times", "problem")
    readonly_fields = fields
    empty_icon = "labs"
    empty_title = "No self-tests yet"
    empty_text = "Set SELF_TEST=on: known usage then goes through everything that billing does, every three minutes."
    export_columns = (
        ("started_at", "started_at"),
        ("finished_at", "finished_at"),
        ("failed_stage", "failed_stage"),
        ("problem", "problem"),
    )

    @display(description="Started", ordering="started_at")
    def started(self, row: SelfTest) -> str:
        return moment(row.started_at)

    @display(description="Result")
    def result(self, row: SelfTest) -> SafeString:
        if row.failed_stage:
            return badge(f"Failed: {row.get_failed_stage_display()}", "danger")
        return badge("Passed", "success")

    @display(description="Took")
    def took(self, row: SelfTest) -> str:
        return f"{(row.finished_at - row.started_at).total_seconds():.1f} s"

    @display(description="Stages")
    def stage_times(self, row: SelfTest) -> SafeString:
        times = ((passed.stage.label, passed.milliseconds) for passed in row.passed_stages)
        return format_html_join(" · ", "{}&nbsp;<small>{}&nbsp;ms</small>", times)
