"""Number series in the admin."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from billing.models import NumberSeries


@admin.register(NumberSeries)
class NumberSeriesAdmin(ModelAdmin):
    """How invoice numbers look. The next number is drawn when an invoice is finalized, and never goes back."""

    list_display = ("name", "example", "prefix", "width")
    search_fields = ("name", "prefix")
    fields = ("name", "prefix", "width", "next_number")
    readonly_fields = ("name", "next_number")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: NumberSeries | None = None) -> bool:
        return False

    @display(description="Next number")
    def example(self, series: NumberSeries) -> str:
        return f"{series.prefix}{series.next_number:0{series.width}d}"
