"""Email selected invoices: a preview of who gets what, then the emails."""

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from billing.admin.pages.review import listing
from billing.emails.composing import about_invoice
from billing.emails.outbox import preview_email, queue_email
from billing.models import Email, Invoice
from billing.refusals import CannotEmail
from config.office.dialogs import staff
from config.office.links import admin_url
from config.office.wording import plural

type Row = tuple[Invoice, Email | None, str]


def preview_selected(
    model_admin: "ModelAdmin[Invoice]", request: HttpRequest, invoices: Sequence[Invoice]
) -> HttpResponse:
    """Show who will get which invoice, and why the others will be skipped."""
    rows = [_preview(invoice) for invoice in invoices]
    sendable = sum(not reason for _, _, reason in rows)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Email invoices",
        "opts": model_admin.opts,
        "rows": rows,
        **listing(rows),
        "sendable": sendable,
        "skipped": len(rows) - sendable,
    }
    return TemplateResponse(request, "admin/billing/email/selected.html", context)


def _preview(invoice: Invoice) -> Row:
    try:
        return invoice, preview_email(about_invoice(invoice)), ""
    except CannotEmail as refusal:
        return invoice, None, str(refusal)


def send_selected(request: HttpRequest, invoices: Sequence[Invoice]) -> HttpResponse:
    """Put the invoices' emails into the outbox and open the list of emails."""
    queued = 0
    for invoice in invoices:
        try:
            queue_email(about_invoice(invoice), now=timezone.now(), by=staff(request))
        except CannotEmail:  # the preview named the reason
            continue
        queued += 1
    messages.success(request, f"{plural(queued, 'email')} will be sent. {len(invoices) - queued} skipped.")
    return HttpResponseRedirect(admin_url("billing_email_changelist"))
