"""API views for emails: send a document, list what was sent, send again, and the templates."""

from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.serializers.emails import (
    EmailIn,
    EmailOut,
    EmailPreview,
    EmailWhole,
    RecipientsIn,
    TemplateIn,
    TemplateOut,
    TestIn,
)
from billing.emails.composing import Topic, about_credit_note, about_invoice, about_payment, about_statement
from billing.emails.outbox import mark_handled, preview_email, queue_email, queue_test, send_again
from billing.emails.templates import (
    PLACEHOLDERS,
    TEMPLATE_KINDS,
    reset_template,
    sample_values,
    save_template,
    template_of,
)
from billing.models import CreditNote, Email, EmailKind, EmailState, EmailTemplate, Invoice, Payment
from config.api.filters import ManyFilter, MomentFilter, page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn
from config.api.views import ApiView, get_or_404, read_body
from customers.api.customers import customer_of

TAG = "Emails"
WRITE = "billing:write"
RELATED = ("customer", "invoice", "credit_note", "payment", "resends")
REFUSALS = (
    "Exactly one of `invoice_id`, `credit_note_id`, `payment_id` and `customer_id` is required. With `customer_id`, "
    "`from_date` and `to_date` are required and `currency` is optional; otherwise, leave these out. `cc` needs `to`. "
    "The document must be finalized, and the customer must have an address and get emails."
)


class EmailFilter(filters.FilterSet):
    customer_id = filters.CharFilter(field_name="customer__public_id")
    invoice_id = filters.CharFilter(field_name="invoice__public_id")
    credit_note_id = filters.CharFilter(field_name="credit_note__public_id")
    payment_id = filters.CharFilter(field_name="payment__public_id")
    kind = ManyFilter(choices=EmailKind.values)
    status = ManyFilter(field_name="state", choices=EmailState.values)
    created_from = MomentFilter(field_name="created_at", lookup_expr="gte", label="The earliest time, inclusive.")
    created_to = MomentFilter(field_name="created_at", lookup_expr="lt", label="The latest time, exclusive.")

    class Meta:
        model = Email
        fields: ClassVar[list[str]] = []


def emails() -> QuerySet[Email]:
    return Email.objects.select_related(*RELATED).order_by("-pk")


def email_of(email_id: str) -> Email:
    return get_or_404(emails(), "email", public_id=email_id)


def _answer(email: Email, status: int = 200) -> Response:
    return Response(EmailOut(emails().get(pk=email.pk)).data, status=status)


def topic_of(body: dict[str, Any]) -> Topic:
    """Return what a body asks to email, or 404."""
    if body.get("invoice_id"):
        invoices = Invoice.objects.select_related("customer", "subscription")
        return about_invoice(get_or_404(invoices, "invoice", public_id=body["invoice_id"]))
    if body.get("credit_note_id"):
        notes = CreditNote.objects.select_related("customer", "invoice__customer", "invoice__subscription")
        return about_credit_note(get_or_404(notes, "credit note", public_id=body["credit_note_id"]))
    if body.get("payment_id"):
        payments = Payment.objects.select_related("customer", "invoice__subscription")
        return about_payment(get_or_404(payments, "payment", public_id=body["payment_id"]))
    customer = customer_of(body["customer_id"])
    return about_statement(customer, body["from_date"], body["to_date"], currency=body.get("currency", ""))


class Emails(ApiView):
    """Send a document by email, or list emails."""

    write_scope = WRITE

    @operation("listEmails", "List emails", tag=TAG, answers={200: listed("EmailList", EmailOut)}, filters=EmailFilter)
    def get(self, request: Request) -> Response:
        return page(request, emails(), EmailFilter, EmailOut)

    @operation(
        "createEmail",
        "Send a document by email",
        refusals=REFUSALS,
        tag=TAG,
        body=EmailIn,
        answers={201: EmailOut},
        errors=(400, 404),
        example={"invoice_id": "inv_0", "to": ["anna@example.com"]},
        description="The email is sent within seconds, with the document as PDF. If an email of the same document "
        "still waits, that one is the answer.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, EmailIn)
        return _answer(queue_email(topic_of(body), to=body["to"], cc=body["cc"], now=timezone.now(), by=None), 201)


class EmailPreviewing(ApiView):
    """Show an email as it would be sent now. Nothing is sent."""

    is_reading = True

    @operation(
        "previewEmail",
        "Preview an email",
        refusals=REFUSALS,
        tag=TAG,
        body=EmailIn,
        answers={200: EmailPreview},
        errors=(400, 404),
        example={"invoice_id": "inv_0", "to": ["anna@example.com"]},
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, EmailIn)
        return Response(EmailPreview(preview_email(topic_of(body), to=body["to"], cc=body["cc"])).data)


class OneEmail(ApiView):
    """Retrieve an email with its text, and what happened to it."""

    @operation("getEmail", "Retrieve an email", tag=TAG, answers={200: EmailWhole}, errors=(404,))
    def get(self, request: Request, email_id: str) -> Response:
        return Response(EmailWhole(email_of(email_id)).data)


class EmailResending(ApiView):
    """Send a document again: another email, with the template and recipients of today."""

    write_scope = WRITE

    @operation(
        "resendEmail",
        "Send an email again",
        refusals="`cc` needs `to`. The email must not be waiting, and its document must still be valid.",
        tag=TAG,
        body=RecipientsIn,
        answers={201: EmailOut},
        errors=(400, 404),
        example={"to": ["anna@example.com"]},
    )
    def post(self, request: Request, email_id: str) -> Response:
        email, body = email_of(email_id), read_body(request, RecipientsIn)
        return _answer(send_again(email, to=body["to"], cc=body["cc"], now=timezone.now(), by=None), 201)


class EmailHandling(ApiView):
    """Note that someone took care of an email that failed, bounced or is unconfirmed. It no longer raises an alarm."""

    write_scope = WRITE

    @operation(
        "handleEmail",
        "Mark an email as handled",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: EmailOut},
        errors=(400, 404),
        example={"reason": "Sent by post"},
    )
    def post(self, request: Request, email_id: str) -> Response:
        email, reason = email_of(email_id), read_body(request, OptionalReasonIn).get("reason", "")
        mark_handled(email, now=timezone.now(), by=None, reason=reason)
        return _answer(email)


def kind_of(kind: str) -> EmailKind:
    if kind not in dict(TEMPLATE_KINDS):
        raise NotFound(f"There is no email template “{kind}”.")
    return EmailKind(kind)


def _describe(template: EmailTemplate) -> dict[str, Any]:
    kind = EmailKind(template.kind)
    return {
        "kind": kind,
        "subject": template.subject,
        "text": template.text,
        "is_changed": not template._state.adding,
        "placeholders": list(PLACEHOLDERS[kind]),
    }


class EmailTemplates(ApiView):
    """List the templates of emails."""

    @operation("listEmailTemplates", "List email templates", tag=TAG, answers={200: TemplateOut(many=True)}, errors=())
    def get(self, request: Request) -> Response:
        templates = [_describe(template_of(EmailKind(kind))) for kind, _ in TEMPLATE_KINDS]
        return Response(TemplateOut(templates, many=True).data)


class EmailTemplateTest(ApiView):
    """Send a template with sample values, without an attachment."""

    write_scope = WRITE

    @operation(
        "testEmailTemplate",
        "Send a test of an email template",
        tag=TAG,
        body=TestIn,
        answers={201: EmailOut},
        errors=(400, 404),
        example={"to": "finance@example.com"},
    )
    def post(self, request: Request, email_kind: str) -> Response:
        template = template_of(kind_of(email_kind))
        values = sample_values(EmailKind(template.kind))
        to = read_body(request, TestIn)["to"]
        return _answer(queue_test(template, values, to, now=timezone.now(), by=None), 201)


class OneEmailTemplate(ApiView):
    """Retrieve or change a template, or return to the product's text."""

    write_scope = WRITE

    @operation("getEmailTemplate", "Retrieve an email template", tag=TAG, answers={200: TemplateOut}, errors=(404,))
    def get(self, request: Request, email_kind: str) -> Response:
        return Response(TemplateOut(_describe(template_of(kind_of(email_kind)))).data)

    @operation(
        "updateEmailTemplate",
        "Change an email template",
        refusals="Only the kind's own placeholders can be used, written as `{{ company }}`.",
        tag=TAG,
        body=TemplateIn,
        answers={200: TemplateOut},
        errors=(400, 404),
        example={
            "subject": "Invoice {{ number }}",
            "text": "Hello {{ greeting_name }},\n\nyour invoice is attached.\n",
        },
        description="Emails that already wait keep their text.",
    )
    def put(self, request: Request, email_kind: str) -> Response:
        template = template_of(kind_of(email_kind))
        for name, value in read_body(request, TemplateIn).items():
            setattr(template, name, value)
        return Response(TemplateOut(_describe(save_template(template, by=None))).data)

    @operation("resetEmailTemplate", "Reset an email template", tag=TAG, answers={204: None}, errors=(404,))
    def delete(self, request: Request, email_kind: str) -> Response:
        reset_template(kind_of(email_kind), by=None)
        return Response(status=204)
