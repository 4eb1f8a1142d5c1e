"""Exports of invoices and their lines as CSV and Excel. Excel files have totals by currency on a sheet of their own.

Rows are streamed (CSV) or written to a temporary file (Excel), so memory use doesn't grow with the number of rows.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.contrib import messages
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone
from import_export import fields, resources
from import_export.admin import ExportMixin
from import_export.formats import base_formats
from unfold.contrib.import_export.forms import ExportForm
from unfold.widgets import UnfoldAdminSelectWidget

from billing.models import Invoice, InvoiceLine, status_label
from billing.models.invoices import local_day
from billing.money import round_amount
from config.office.exports import ExportsList
from config.office.files import MOST_ROWS, Totals, file_name, table_file

FORMATS = [base_formats.CSV, base_formats.XLSX]
INVOICE_COLUMNS = {
    "id": "public_id",
    "number": "number",
    "joint_invoice": "joint__number",
    "status": "status",
    "kind": "kind",
    "customer_external_id": "customer__external_id",
    "customer": "customer__name",
    "subscription": "subscription__public_id",
    "currency": "currency",
    "period_start": "period_start",
    "period_end": "period_end",
    "subtotal": "subtotal",
    "discount_total": "discount_total",
    "tax_total": "tax_total",
    "tax_included": "tax_included",
    "total": "total",
    "credits_applied": "credits_applied",
    "amount_due": "amount_due",
    "amount_credited": "amount_credited",
    "amount_paid": "amount_paid",
    "issue_date": "issue_date",
    "due_date": "due_date",
    "issued_at": "issued_at",
    "due_at": "due_at",
    "finalized_at": "finalized_at",
    "paid_at": "paid_at",
    "voided_at": "voided_at",
    "void_reason": "void_reason",
}
LINE_COLUMNS = {
    "invoice_id": "invoice__public_id",
    "invoice_number": "invoice__number",
    "invoice_status": "status",
    "customer_external_id": "invoice__customer__external_id",
    "position": "position",
    "kind": "kind",
    "description": "description",
    "plan": "plan_version__plan__name",
    "feature": "feature__name",
    "period_start": "period_start",
    "period_end": "period_end",
    "quantity": "quantity",
    "free_units": "free_units",
    "billable_quantity": "billable_quantity",
    "unit_amount": "unit_amount",
    "currency": "invoice__currency",
    "amount": "amount",
    "exact_amount": "exact_amount",
    "discount_amount": "discount_amount",
    "tax_amount": "tax_amount",
    "events_count": "events_count",
}
MONEY = {
    "subtotal",
    "discount_total",
    "tax_total",
    "tax_included",
    "total",
    "credits_applied",
    "amount_due",
    "amount_credited",
    "amount_paid",
    "amount",
    "discount_amount",
    "tax_amount",
}


class TooManyRows(ValueError):
    """The export has too many rows. The message is shown to staff."""


class ZonedExportForm(ExportForm):
    """Ask for the format, the kind of rows, and the time zone of dates and times."""

    timezone = forms.ChoiceField(
        choices=[(zone, zone) for zone in ("UTC", *sorted(available_timezones() - {"UTC"}))],
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="Time zone",
        help_text="Used for all dates and times in the file.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["resource"].label = "Rows"


class InvoiceResource(resources.Resource):
    """A row per invoice, in the list's order. In Excel, a second sheet has the totals by currency."""

    name, columns = "Invoices", INVOICE_COLUMNS

    @classmethod
    def get_display_name(cls) -> str:
        return cls.name

    def get_user_visible_fields(self) -> list[fields.Field]:
        return [fields.Field(column_name=heading) for heading in self.columns]

    def select(self, invoices: QuerySet[Invoice]) -> QuerySet[Any]:
        """Return the exported rows for the invoices in the list, each with its status and its document's dates."""
        return invoices.annotate(
            status=status_label(timezone.now()), issue_date=local_day("issued_at"), due_date=local_day("due_at")
        )


class LineResource(InvoiceResource):
    """A row per line of the invoices in the list, with the values it was calculated from."""

    name, columns = "Invoice lines", LINE_COLUMNS

    def select(self, invoices: QuerySet[Invoice]) -> QuerySet[Any]:
        lines = InvoiceLine.objects.filter(invoice__in=invoices.order_by().values("pk"))
        statuses = Invoice.objects.filter(pk=OuterRef("invoice")).annotate(name=status_label(timezone.now()))
        return lines.annotate(status=Subquery(statuses.values("name"))).order_by("-invoice_id", "position")


def rows_of(resource: InvoiceResource, invoices: QuerySet[Invoice], zone: str) -> Iterator[Sequence[Any]]:
    """Yield the rows with amounts rounded to their currency and times in the zone."""
    headings = list(resource.columns)
    currency_column, tzinfo = headings.index("currency"), ZoneInfo(zone)
    money_columns = {i for i, heading in enumerate(headings) if heading in MONEY}
    rows = resource.select(invoices).values_list(*(F(name) for name in resource.columns.values()))
    for row in rows.iterator(chunk_size=2_000):
        cells, currency = list(row), row[currency_column]
        for i, value in enumerate(cells):
            if i in money_columns:
                cells[i] = round_amount(value, currency)
            elif isinstance(value, datetime):
                cells[i] = value.astimezone(tzinfo).replace(tzinfo=None)
        yield cells


class AmountTotals:
    """Totals by currency of the rows that pass through, for the Excel file's sheet of totals."""

    def __init__(self, headings: Sequence[str]) -> None:
        self.currency_column = headings.index("currency")
        self.money_columns = [i for i, heading in enumerate(headings) if heading in MONEY]
        self.headings = ["currency", *(headings[i] for i in self.money_columns)]
        self.sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(self.money_columns))

    def add_up(self, rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Yield the rows unchanged, and add their amounts to the totals."""
        for row in rows:
            sums = self.sums[row[self.currency_column]]
            for position, column in enumerate(self.money_columns):
                sums[position] += row[column]
            yield row

    def rows(self) -> Iterator[Sequence[Any]]:
        """Yield a row per currency. Read it after the rows were added up."""
        for currency, sums in sorted(self.sums.items()):
            yield currency, *sums


class InvoiceExport(ExportsList, ExportMixin):
    """Export the list, as filtered and sorted, as CSV or Excel; at most MOST_ROWS rows.

    The list's buttons export its invoices in UTC. A page offers their lines, and other time zones.
    """

    export_form_class = ZonedExportForm
    formats = FORMATS
    export_at_most = MOST_ROWS

    def get_export_resource_classes(self, request: HttpRequest) -> list[type]:
        return [InvoiceResource, LineResource]

    def can_export(self) -> bool:
        return True

    def export_list(self, request: HttpRequest, rows: QuerySet[Any], file_format: str) -> HttpResponseBase:
        try:
            return export_file(InvoiceResource(), rows, file_format=file_format, zone="UTC")
        except TooManyRows as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.get_full_path().replace(f"_export={file_format}", ""))

    def _do_file_export(
        self, file_format: Any, request: HttpRequest, queryset: QuerySet[Invoice], export_form: Any = None
    ) -> HttpResponseBase:
        """Return the file, without holding all of it in memory as the library does.

        The page shows the message of `TooManyRows`.
        """
        form = export_form.cleaned_data
        resource = self.get_export_resource_classes(request)[int(form["resource"] or 0)]()
        zone = form.get("timezone") or "UTC"
        return export_file(resource, queryset, file_format=file_format.get_extension(), zone=zone)


def export_file(resource: InvoiceResource, invoices: QuerySet[Any], *, file_format: str, zone: str) -> HttpResponseBase:
    """Return the file of the invoices' rows. Raises `TooManyRows`."""
    if resource.select(invoices).order_by()[MOST_ROWS : MOST_ROWS + 1].exists():
        raise TooManyRows(f"More than {MOST_ROWS:,} rows. Filter the list to export fewer.")
    headings = [*resource.columns]
    amounts = AmountTotals(headings)
    table = amounts.add_up(rows_of(resource, invoices, zone))
    totals = Totals(amounts.headings, amounts.rows())
    return table_file(headings, table, name=file_name(resource.name), file_format=file_format, totals=totals)
