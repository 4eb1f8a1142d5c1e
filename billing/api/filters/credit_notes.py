"""Filters of credit notes."""

from typing import ClassVar

import django_filters as filters

from billing.api.names import CREDIT_NOTE_STATES
from billing.models import (
    CreditNote,
)
from catalog.api.filters import ListFilter
from config.api.filters import ManyFilter


class CreditNoteFilter(ListFilter):
    sortable: ClassVar[dict[str, str]] = {"created_at": "created_at", "finalized_at": "finalized_at"}

    credit_note_ids = ManyFilter(field_name="public_id")
    invoice_id = filters.CharFilter(field_name="invoice__public_id")
    customer_id = filters.CharFilter(field_name="customer__public_id")
    subscription_id = filters.CharFilter(field_name="invoice__subscription__public_id")
    credit_note_status = ManyFilter(field_name="state", names=CREDIT_NOTE_STATES, help_text="DRAFT, FINALIZED, VOIDED.")

    class Meta:
        model = CreditNote
        fields: ClassVar[list[str]] = []
