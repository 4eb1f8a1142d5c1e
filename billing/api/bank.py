"""API views for bank files: import one, list entries with suggestions, accept, dismiss and reopen them."""

import base64
import binascii
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.fields import MoneyField
from billing.api.payments import read_applications
from billing.api.serializers.payments import MOST_APPLICATIONS, ApplicationIn
from billing.bank.accepting import accept_entry, accept_suggestions, dismiss_entry, reopen_entry, suggest_for
from billing.bank.importing import import_bank_file
from billing.bank.matching import SURE, Suggestion
from billing.models import BankEntry, BankFileFormat, BankImport, Invoice, SurplusUse
from billing.money import money
from config.api.errors import invalid
from config.api.fields import BlankAsNullField, ComputedChoice, TextField
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import ReasonIn
from config.api.views import ApiView, get_or_404, read_body
from customers.api.customers import customer_of
from customers.models import Customer

TAG = "Bank files"
WRITE = "billing:write"
MOST_ACCEPTED = 500
STATUSES = ("open", "accepted", "dismissed")
FORMATS = [(value, label) for value, label in BankFileFormat.choices]
COLUMNS = (
    "For CSV files: the heading of each column by name (date, amount, currency, payer_name, payer_iban, text, "
    "entry_id), and date_format, decimal_mark, default_currency and account. Files with the same headings reuse them."
)


class BankImportIn(serializers.Serializer[Any]):
    """A file of a bank, as base64."""

    file_name = TextField(255, required=True, allow_blank=False)
    content = serializers.CharField(help_text="The file as base64, at most 7 MB.")
    file_format = serializers.ChoiceField(
        FORMATS, required=False, allow_null=True, help_text="Recognized if it is missing."
    )
    columns = serializers.DictField(child=serializers.CharField(max_length=255), required=False, help_text=COLUMNS)


class BankImportOut(serializers.Serializer[Any]):
    """An imported file. The same file again returns its first import."""

    id = serializers.CharField(source="public_id")
    file_name = serializers.CharField()
    file_format = serializers.ChoiceField(FORMATS, source="format")
    columns = serializers.DictField(child=serializers.CharField())
    entries_added = serializers.IntegerField()
    entries_known = serializers.IntegerField(help_text="Entries that an earlier file had already.")
    entries_skipped = serializers.IntegerField(help_text="Outgoing, returned and pending entries.")
    imported_at = serializers.DateTimeField()


class SuggestedPartOut(serializers.Serializer[Any]):
    """An amount for an invoice."""

    invoice_id = serializers.CharField()
    amount = serializers.CharField()


class SuggestionOut(serializers.Serializer[Any]):
    """What an entry probably pays."""

    customer_id = serializers.CharField()
    score = serializers.IntegerField(help_text="Up to 100.")
    reasons = serializers.ListField(child=serializers.CharField())
    parts = SuggestedPartOut(many=True)


class BankEntryOut(serializers.Serializer[Any]):
    """Money that arrived on a bank account."""

    id = serializers.CharField(source="public_id")
    import_id = serializers.CharField(source="bank_import.public_id")
    entry_status = ComputedChoice(STATUSES)
    account = BlankAsNullField()
    booked_on = serializers.DateField()
    amount = MoneyField()
    currency = serializers.CharField()
    payer_name = BlankAsNullField()
    payer_iban = BlankAsNullField()
    text = BlankAsNullField()
    reference = BlankAsNullField(help_text="The bank's reference of the entry.")
    payment_id = serializers.CharField(source="live_payment.public_id", allow_null=True)
    dismiss_reason = BlankAsNullField()
    suggestion = SuggestionOut(allow_null=True)

    def get_entry_status(self, entry: BankEntry) -> str:
        if entry.dismissed_at is not None:
            return "dismissed"
        return "open" if entry.live_payment is None else "accepted"


class BankEntryFilter(filters.FilterSet):
    entry_status = filters.ChoiceFilter(choices=[(name, name) for name in STATUSES], method="with_status")
    import_id = filters.CharFilter(field_name="bank_import__public_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")

    class Meta:
        model = BankEntry
        fields: ClassVar[list[str]] = []

    def with_status(self, rows: Any, name: str, value: str) -> Any:
        return getattr(rows, value)()


class BankImportFilter(filters.FilterSet):
    class Meta:
        model = BankImport
        fields: ClassVar[list[str]] = []


class Acceptance(serializers.Serializer[Any]):
    """The customer that paid, and the invoices that the money is for."""

    customer_id = serializers.CharField(max_length=64)
    applications = ApplicationIn(many=True, required=False, max_length=MOST_APPLICATIONS)  # type: ignore[call-arg]  # a list takes it
    apply_oldest_first = serializers.BooleanField(default=False)
    overpayment = serializers.ChoiceField(SurplusUse.values, default=SurplusUse.UNAPPLIED.value)

    def validate(self, attrs: Any) -> Any:
        if attrs.get("applications") and attrs["apply_oldest_first"]:
            raise serializers.ValidationError({"applications": "Name invoices, or use apply_oldest_first, not both."})
        return attrs


class BulkAcceptance(serializers.Serializer[Any]):
    """The entries whose suggestions are accepted. Without ids, all open ones, at most 500 at a time."""

    bank_entry_ids = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, max_length=MOST_ACCEPTED
    )
    minimum_score = serializers.IntegerField(min_value=1, max_value=100, default=SURE)


class BankOutcomeOut(serializers.Serializer[Any]):
    """What became of an entry."""

    bank_entry_id = serializers.CharField(source="entry.public_id")
    payment_id = serializers.CharField(source="payment.public_id", allow_null=True)
    skipped = BlankAsNullField(help_text="Why the entry is still open.")


class BankOutcomesOut(serializers.Serializer[Any]):
    """What became of the entries."""

    outcomes = BankOutcomeOut(many=True)


def entries() -> QuerySet[BankEntry]:
    return BankEntry.objects.select_related("bank_import", "payment__reversed_by").order_by("-pk")


def entry_of(bank_entry_id: str) -> BankEntry:
    return get_or_404(entries(), "bank entry", public_id=bank_entry_id)


def with_suggestions(rows: list[BankEntry]) -> list[BankEntry]:
    """Set the `suggestion` of each entry in the API's form."""
    suggestions = suggest_for(rows)
    keys = [key for suggestion in suggestions.values() for key, _ in suggestion.parts]
    invoices = Invoice.objects.in_bulk(keys)
    customers = Customer.objects.in_bulk([suggestion.customer_id for suggestion in suggestions.values()])
    for row in rows:
        suggestion = suggestions.get(row.pk)
        row.__dict__["suggestion"] = _describe(row, suggestion, invoices, customers) if suggestion else None
    return rows


def _describe(entry: BankEntry, suggestion: Suggestion, invoices: Any, customers: Any) -> dict[str, Any]:
    return {
        "customer_id": customers[suggestion.customer_id].public_id,
        "score": suggestion.score,
        "reasons": suggestion.reasons,
        "parts": [
            {"invoice_id": invoices[key].public_id, "amount": money(amount, entry.currency)}
            for key, amount in suggestion.parts
        ],
    }


def _answer(entry: BankEntry) -> Response:
    return Response(BankEntryOut(with_suggestions([entries().get(pk=entry.pk)])[0]).data)


class BankImports(ApiView):
    """Import a bank file, or list imports."""

    write_scope = WRITE

    @operation(
        "listBankImports",
        "List imported bank files",
        tag=TAG,
        answers={200: listed("BankImportList", BankImportOut)},
        filters=BankImportFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, BankImport.objects.order_by("-pk"), BankImportFilter, BankImportOut)

    @operation(
        "createBankImport",
        "Import a bank file",
        refusals="`content` must be base64.",
        tag=TAG,
        body=BankImportIn,
        answers={201: BankImportOut},
        example={
            "file_name": "october.csv",
            "content": base64.b64encode(b"Date;Amount;Name;Text\n2026-10-02;49.00;Acme Ltd;INV-000001\n").decode(),
            "columns": {
                "date": "Date",
                "amount": "Amount",
                "payer_name": "Name",
                "text": "Text",
                "default_currency": "USD",
            },
        },
        description="CAMT.053, MT940, OFX or CSV. Entries that an earlier file had are known and not imported again.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, BankImportIn)
        try:
            content = base64.b64decode(body["content"], validate=True)
        except (binascii.Error, ValueError) as refused:
            raise invalid({"content": ["This isn't base64."]}) from refused
        file_format = BankFileFormat(body["file_format"]) if body.get("file_format") else None
        columns = body.get("columns")
        imported = import_bank_file(
            content, body["file_name"], file_format=file_format, columns=columns, now=timezone.now(), by=None
        )
        return Response(BankImportOut(imported).data, status=201)


class BankEntries(ApiView):
    """List bank entries with suggestions, newest first."""

    @operation(
        "listBankEntries",
        "List bank entries",
        tag=TAG,
        answers={200: listed("BankEntryList", BankEntryOut)},
        filters=BankEntryFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, entries(), BankEntryFilter, BankEntryOut, prepare=with_suggestions)


class BankEntriesAcceptance(ApiView):
    """Accept suggestions in bulk."""

    write_scope = WRITE

    @operation(
        "acceptBankEntries",
        "Accept the suggestions of bank entries",
        tag=TAG,
        body=BulkAcceptance,
        answers={200: BankOutcomesOut},
        example={"minimum_score": 80},
        description="Each entry becomes one payment. An entry without a suggestion of this score stays open. A "
        "repeated request accepts nothing twice.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, BulkAcceptance)
        ids = body.get("bank_entry_ids")
        chosen = BankEntry.objects.open() if ids is None else BankEntry.objects.open().filter(public_id__in=ids)
        related = chosen.select_related("payment__reversed_by").order_by("booked_on", "pk")[:MOST_ACCEPTED]
        outcomes = accept_suggestions(list(related), at_least=body["minimum_score"], now=timezone.now(), by=None)
        return Response(BankOutcomesOut({"outcomes": outcomes}).data)


class OneBankEntry(ApiView):
    """Retrieve a bank entry."""

    @operation("getBankEntry", "Retrieve a bank entry", tag=TAG, answers={200: BankEntryOut}, errors=(404,))
    def get(self, request: Request, bank_entry_id: str) -> Response:
        return _answer(entry_of(bank_entry_id))


class BankEntryAcceptance(ApiView):
    """Accept a bank entry as a payment of a customer. An accepted entry is returned unchanged."""

    write_scope = WRITE

    @operation(
        "acceptBankEntry",
        "Accept a bank entry",
        refusals="Specify either `applications` or `apply_oldest_first`.",
        tag=TAG,
        body=Acceptance,
        answers={200: BankEntryOut},
        errors=(400, 404),
        example={"customer_id": "cust_1", "apply_oldest_first": True},
        description="Reverse the payment to open the entry again.",
    )
    def post(self, request: Request, bank_entry_id: str) -> Response:
        entry, body = entry_of(bank_entry_id), read_body(request, Acceptance)
        accept_entry(
            entry,
            customer_of(body["customer_id"]),
            read_applications(body),
            oldest_first=body["apply_oldest_first"],
            surplus_to=body["overpayment"],
            now=timezone.now(),
            by=None,
        )
        return _answer(entry)


class BankEntryDismissal(ApiView):
    """Dismiss a bank entry that pays no invoice."""

    write_scope = WRITE

    @operation(
        "dismissBankEntry",
        "Dismiss a bank entry",
        tag=TAG,
        body=ReasonIn,
        answers={200: BankEntryOut},
        errors=(400, 404),
        example={"reason": "Interest of the bank"},
    )
    def post(self, request: Request, bank_entry_id: str) -> Response:
        entry, body = entry_of(bank_entry_id), read_body(request, ReasonIn)
        return _answer(dismiss_entry(entry, reason=body["reason"], now=timezone.now(), by=None))


class BankEntryReopening(ApiView):
    """Reopen a dismissed bank entry. An open one is returned unchanged."""

    write_scope = WRITE

    @operation(
        "reopenBankEntry", "Reopen a dismissed bank entry", tag=TAG, answers={200: BankEntryOut}, errors=(400, 404)
    )
    def post(self, request: Request, bank_entry_id: str) -> Response:
        return _answer(reopen_entry(entry_of(bank_entry_id), by=None))
