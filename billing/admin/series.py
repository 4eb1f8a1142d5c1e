"""Number series in the admin."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from unfold.decorators import display
from unfold.forms import BaseDialogForm

from billing.invoicing.numbering import set_default_series
from billing.models import NumberSeries
from config.office.base import AuditedHistory, BaseAdmin
from config.office.dialogs import action, carry_out, staff
from config.office.links import page_of


@admin.register(NumberSeries)
class NumberSeriesAdmin(AuditedHistory, BaseAdmin):
    """The numbers of invoices and credit notes. A number is used when a document is finalized, and only once."""

    list_display = ("name", "used_for", "example", "prefix", "width", "is_default")
    list_filter = ("used_for",)
    search_fields = ("name", "prefix")
    list_title = "Number series"
    empty_icon = "tag"
    empty_title = "No number series yet"
    empty_text = (
        "The first finalized invoice creates the series INV- and the first credit note CN-. To use other prefixes, "
        "add a series before you finalize."
    )
    fields = ("name", "used_for", "prefix", "width", "is_default", "next_number")
    actions_detail = ("make_default",)

    def get_fields(self, request: HttpRequest, obj: NumberSeries | None = None) -> tuple[str, ...]:
        return self.fields if obj else self.fields[:4]

    def get_readonly_fields(self, request: HttpRequest, obj: NumberSeries | None = None) -> tuple[str, ...]:
        """Keep the prefix once a number has been used. For another prefix, add another series."""
        fixed = ("prefix", "used_for") if obj is not None and obj.next_number > 1 else ()
        return ("is_default", "next_number", *fixed)

    def has_delete_permission(self, request: HttpRequest, obj: NumberSeries | None = None) -> bool:
        return False

    @display(description="Next number")
    def example(self, series: NumberSeries) -> str:
        return series.number()

    def has_default_permission(self, request: HttpRequest, object_id: int | str | None = None) -> bool:
        others = NumberSeries.objects.filter(pk=object_id or 0, is_default=False)
        return bool(self.has_change_permission(request)) and others.exists()

    @action(
        description="Make default",
        icon="star",
        permissions=["default"],
        dialog={
            "title": "Make this the default series?",
            "description": "Documents finalized from now on are numbered from this series, unless another one was "
            "selected. Existing numbers don't change.",
            "form_submit_text": "Make default",
        },
    )
    def make_default(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        series = get_object_or_404(NumberSeries, pk=object_id)
        return carry_out(
            request,
            lambda: set_default_series(series, by=staff(request)),
            done=f"{series} is now the default series for {series.get_used_for_display().lower()}.",
            then=page_of(series),
        )
