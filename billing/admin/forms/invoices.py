"""Dialogs that show the effect of finalizing or voiding an invoice before it happens."""

from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from unfold.forms import BaseDialogForm

from billing.models import Invoice
from config.office.dialogs import ReasonForm


def _invoice_context(object_id: int | str | None) -> dict[str, Any]:
    invoice = get_object_or_404(Invoice.objects.select_related("customer", "joint"), pk=object_id)
    joint = invoice.joint if invoice.joint is not None and len(invoice.joint.parts) > 1 else None
    return {"invoice": invoice, "joint": joint, "bill": joint or invoice}


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
