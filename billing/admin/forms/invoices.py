"""Dialogs that show the effect of finalizing or voiding an invoice before it happens."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from unfold.forms import BaseDialogForm

from billing.models import Invoice
from config.office.dialogs import ReasonForm


def _invoice_context(object_id: int | str | None) -> dict[str, Any]:
    return {"invoice": get_object_or_404(Invoice.objects.select_related("customer"), pk=object_id)}


class FinalizeForm(BaseDialogForm):
    """Show what finalizing an invoice does."""

    form_before_template = "admin/billing/invoice/finalize_one.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return _invoice_context(object_id)


class VoidForm(ReasonForm):
    """Show how much less the customer owes once an invoice is voided, and ask for a reason."""

    form_before_template = "admin/billing/invoice/void_one.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return _invoice_context(object_id)
