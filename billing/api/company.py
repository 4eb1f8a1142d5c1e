"""API views for the company: its profile on documents, and the number series of invoices and credit notes."""

from decimal import Decimal
from typing import Any, ClassVar

import django_filters as filters
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import amount_field
from billing.invoicing.numbering import save_series, set_default_series
from billing.models import CompanyProfile, NumberSeries, SeriesUse
from billing.models.company import COPIED, LEAST_YEARS, MOST_YEARS, save_profile
from config.api.fields import TextField
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body

TAG = "Company"
FIELDS = (*COPIED, "site_url", "timezone")
EMAILED = ("emails_invoices", "emails_credit_notes", "emails_receipts")
EXPLAINS = "Whether an invoice's document says why it differs from the last one."
WRITE_OFF = "The most that can be written off of one invoice, in its currency. 0 allows none."
BANK_CHARGE = "The most that banks may have deducted of one invoice's payment, in its currency. 0 allows none."
ACCOUNT = "The account of the general ledger."
SIMULATED = "Publishing prices of live subscriptions needs a simulation not older than so many days. Null: none."
MOST_CUSTOMER = "Above this change of a customer in a simulation, in percent, a second person approves publishing."
MOST_TOTAL = "Above this change of a currency's total in a simulation, in percent, a second person approves publishing."
MOST_PAY_MORE = "Above this number of customers who pay more in a simulation, a second person approves publishing."
RETENTION = "Years after the end of its year that a document is kept although the customer's personal data was erased."


def _guard_fields(**options: Any) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
    """Return new fields of the limits of price changes; null is no limit."""
    percent: dict[str, Any] = {
        "max_digits": 7,
        "decimal_places": 2,
        "min_value": Decimal(0),
        "allow_null": True,
    } | options
    count: dict[str, Any] = {"allow_null": True} | options
    return {
        "simulation_days": serializers.IntegerField(min_value=1, max_value=365, help_text=SIMULATED, **count),
        "most_customer_percent": serializers.DecimalField(help_text=MOST_CUSTOMER, **percent),
        "most_total_percent": serializers.DecimalField(help_text=MOST_TOTAL, **percent),
        "most_pay_more": serializers.IntegerField(min_value=0, help_text=MOST_PAY_MORE, **count),
    }


class CompanyChange(serializers.Serializer[Any]):
    """The fields to change; the others keep their values. Finalized documents don't change."""

    name = TextField(255, allow_blank=False)
    logo_text = TextField(64)
    address_line1 = TextField()
    address_line2 = TextField()
    address_city = TextField()
    address_state = TextField()
    address_postal_code = TextField(32)
    address_country = TextField(2)
    tax_id = TextField(64)
    registration = TextField()
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    phone = TextField(64)
    website = TextField()
    contact = TextField(help_text="Person or department for questions about invoices.")
    iban = TextField(34)
    bic = TextField(11)
    peppol_id = TextField(64, help_text="The address of electronic invoices, with its scheme: 9930:DE136695976.")
    bank_details = TextField(1000)
    payment_terms = TextField(1000)
    footer = TextField()
    explains_differences = serializers.BooleanField(required=False)
    retention_years = serializers.IntegerField(min_value=LEAST_YEARS, max_value=MOST_YEARS, required=False)
    site_url = serializers.URLField(required=False, allow_blank=True)
    timezone = TextField(64, allow_blank=False)
    write_off_limit = amount_field(required=False, min_value=Decimal(0), help_text=WRITE_OFF)
    write_off_account = TextField(32, help_text=ACCOUNT)
    bank_charge_limit = amount_field(required=False, min_value=Decimal(0), help_text=BANK_CHARGE)
    bank_charge_account = TextField(32, help_text=ACCOUNT)
    emails_invoices = serializers.BooleanField(required=False, help_text="Email invoices once they are finalized.")
    emails_credit_notes = serializers.BooleanField(required=False, help_text="Email credit notes, too.")
    emails_receipts = serializers.BooleanField(required=False, help_text="Email receipts of payments.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return super().get_fields() | _guard_fields(required=False)


class CompanyOut(serializers.Serializer[Any]):
    """The company on invoices, credit notes and statements."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        texts: dict[str, serializers.Field[Any, Any, Any, Any]] = {name: serializers.CharField() for name in FIELDS}
        switches = {name: serializers.BooleanField() for name in EMAILED}
        return (
            texts
            | switches
            | _guard_fields()
            | {
                "explains_differences": serializers.BooleanField(help_text=EXPLAINS),
                "retention_years": serializers.IntegerField(help_text=RETENTION),
                "write_off_limit": serializers.DecimalField(24, 4, help_text=WRITE_OFF),
                "write_off_account": serializers.CharField(help_text=ACCOUNT),
                "bank_charge_limit": serializers.DecimalField(24, 4, help_text=BANK_CHARGE),
                "bank_charge_account": serializers.CharField(help_text=ACCOUNT),
            }
        )


class Company(ApiView):
    """Retrieve or update the company profile. Requires a key with all scopes to update."""

    @operation("getCompany", "Retrieve the company profile", tag=TAG, answers={200: CompanyOut}, errors=())
    def get(self, request: Request) -> Response:
        return Response(CompanyOut(CompanyProfile.current()).data)

    @operation(
        "updateCompany",
        "Update the company profile",
        refusals="`address_country` must be a two-letter country code in capitals. `iban` and `bic` must be valid. "
        "`peppol_id` starts with the scheme of an electronic address and has no spaces.",
        tag=TAG,
        body=CompanyChange,
        answers={200: CompanyOut},
        example={"name": "Example GmbH", "address_country": "DE", "tax_id": "VAT DE123456789"},
        description="Requires an API key with all scopes.",
    )
    def put(self, request: Request) -> Response:
        return Response(CompanyOut(save_profile(read_body(request, CompanyChange), by=None)).data)


class SeriesChange(serializers.Serializer[Any]):
    """The fields to change. The prefix can't change once a number has been used."""

    name = TextField(32, allow_blank=False)
    prefix = TextField(32, allow_blank=False)
    width = serializers.IntegerField(min_value=1, max_value=18, required=False)


class SeriesIn(SeriesChange):
    """A new number series."""

    name = TextField(32, required=True, allow_blank=False)
    prefix = TextField(32, required=True, allow_blank=False)
    used_for = serializers.ChoiceField(SeriesUse.choices, default=SeriesUse.INVOICE.value)


class SeriesOut(serializers.Serializer[Any]):
    """A gapless sequence of numbers. A document gets its number when it is finalized."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField()
    used_for = serializers.ChoiceField(SeriesUse.choices)
    prefix = serializers.CharField()
    width = serializers.IntegerField()
    next_number = serializers.CharField(source="number", help_text="The next document's number.")
    is_default = serializers.BooleanField()


class SeriesFilter(filters.FilterSet):
    used_for = filters.CharFilter(field_name="used_for", label="invoice or credit_note.")

    class Meta:
        model = NumberSeries
        fields: ClassVar[list[str]] = []


def series_of(series_id: str) -> NumberSeries:
    number = series_id if series_id.isascii() and series_id.isdecimal() and len(series_id) < 19 else "0"
    return get_or_404(NumberSeries.objects.all(), "number series", pk=number)


class SeriesCollection(ApiView):
    """Create a number series, or list number series."""

    @operation(
        "listNumberSeries",
        "List number series",
        tag=TAG,
        answers={200: listed("NumberSeriesList", SeriesOut)},
        filters=SeriesFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, NumberSeries.objects.order_by("-pk"), SeriesFilter, SeriesOut)

    @operation(
        "createNumberSeries",
        "Create a number series",
        refusals="`prefix` can't end with a digit.",
        tag=TAG,
        body=SeriesIn,
        answers={201: SeriesOut},
        errors=(400, 409),
        example={"name": "EU invoices", "prefix": "EU-", "width": 6},
        description="Requires an API key with all scopes.",
    )
    def post(self, request: Request) -> Response:
        series = save_series(NumberSeries(**read_body(request, SeriesIn)), by=None)
        return Response(SeriesOut(series).data, status=201)


class OneSeries(ApiView):
    """Retrieve or update a number series."""

    @operation("getNumberSeries", "Retrieve a number series", tag=TAG, answers={200: SeriesOut}, errors=(404,))
    def get(self, request: Request, series_id: str) -> Response:
        return Response(SeriesOut(series_of(series_id)).data)

    @operation(
        "updateNumberSeries",
        "Update a number series",
        refusals="`prefix` can't end with a digit.",
        tag=TAG,
        body=SeriesChange,
        answers={200: SeriesOut},
        errors=(400, 404, 409),
        example={"width": 8},
        description="Requires an API key with all scopes.",
    )
    def put(self, request: Request, series_id: str) -> Response:
        series = series_of(series_id)
        for name, value in read_body(request, SeriesChange).items():
            setattr(series, name, value)
        return Response(SeriesOut(save_series(series, by=None)).data)


class DefaultSeries(ApiView):
    """Make a series the default: documents finalized from now on are numbered from it, unless another was selected."""

    @operation(
        "makeNumberSeriesDefault", "Make a number series the default", tag=TAG, answers={200: SeriesOut}, errors=(404,)
    )
    def post(self, request: Request, series_id: str) -> Response:
        set_default_series(series_of(series_id), by=None)
        return Response(SeriesOut(series_of(series_id)).data)
