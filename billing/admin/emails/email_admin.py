"""Emails in the admin: the list, the page of one, sending again."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm

from billing.admin.emails.forms import SendAgainForm, SendForm
from billing.admin.shared import link
from billing.documents.responses import build_file_response
from billing.emails.outbox import mark_handled
from billing.models import Email, EmailEvent, EmailKind, EmailState
from billing.models.emails import PROBLEM_STATES
from billing.refusals import CannotEmail
from billing.sending.attaching import find_einvoice, make_attachment
from config.office.dialogs import OptionalReasonForm, action, open_page, staff
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment

VARIANTS = {
    EmailState.PENDING: "info",
    EmailState.SENDING: "info",
    EmailState.SENT: "success",
    EmailState.SKIPPED: "",
    EmailState.FAILED: "danger",
    EmailState.UNCONFIRMED: "warning",
    EmailState.BOUNCED: "danger",
}
RELATED = ("customer", "invoice", "credit_note", "payment__invoice", "resends", "created_by")
FILES = "django.core.mail.backends.filebased.EmailBackend"
QUEUED = "The email will be sent within seconds. Reload the page to see the result."


def send_from_dialog(request: HttpRequest, form: SendForm) -> HttpResponse:
    """Put a dialog's email into the outbox, and open its page."""
    email = form.send(by=staff(request))
    return open_page(request, email.get_absolute_url(), QUEUED)


def may_send(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("billing.add_email"))


def show_text(text: str) -> SafeString:
    """Show the text of an email line by line."""
    return format_html_join(SafeString("<br>"), "{}", ((line,) for line in text.splitlines()))


class ProblemFilter(DropdownFilter):
    """Filter by whether someone must look at the email."""

    title = "To look at"
    parameter_name = "problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Failed, bounced or unconfirmed, and not handled")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.problems() if self.value() == "yes" else queryset


class EventsInline(TabularInline):
    """What happened to an email."""

    model = EmailEvent
    fields = ("when", "kind", "recipient", "detail")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_title = False
    verbose_name_plural = "What happened"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("billing.view_email"))

    @display(description="When")
    def when(self, event: EmailEvent) -> str:
        return moment(event.at)


@admin.register(Email)
class EmailAdmin(LongListAdmin):
    """Emails to customers, newest first. They are written by the system; staff send documents again."""

    list_display = ("created", "customer_name", "show_kind", "show_subject", "recipients", "state_badge")
    list_display_links = ("created",)
    list_select_related = ("customer",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ProblemFilter,
        ("customer", AutocompleteSelectFilter),
    )
    list_before_template = "admin/billing/email/outbox.html"
    search_fields = ("customer__name", "customer__external_id", "public_id", "subject")
    search_help_text = "Customer, subject or ID"
    fields = (
        *("state_badge", "problem", "customer_link", "document_link", "recipients", "copies", "subject", "message"),
        *("attachment_text", "sent", "attempts", "next_attempt", "handled", "resends_link", "author", "id_text"),
    )
    readonly_fields = fields
    inlines = (EventsInline,)
    actions_detail = ("attachment", "send_again_one", "handle_one")
    empty_icon = "mail"
    empty_title = "No emails yet"
    empty_text = "Open a finalized invoice and select “Email”, or turn on emails at Company."
    export_columns = (
        ("ID", "public_id"),
        ("Created at (UTC)", "created_at"),
        ("Kind", lambda email: email.get_kind_display()),
        ("Customer", lambda email: email.customer.name if email.customer else ""),
        ("To", lambda email: ", ".join(email.to)),
        ("Copies to", lambda email: ", ".join(email.cc)),
        ("Subject", "subject"),
        ("Status", lambda email: email.get_state_display()),
        ("Problem", "last_error"),
        ("Sent at (UTC)", "sent_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Email]:
        emails: QuerySet[Email] = super().get_queryset(request).select_related(*RELATED)
        return emails

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and where emails go if no mail server is configured."""
        folder = getattr(settings, "EMAIL_FILE_PATH", "") if settings.EMAIL_BACKEND == FILES else ""
        return super().changelist_view(request, {"outbox_folder": folder, **(extra_context or {})})

    @display(description="Created")
    def created(self, email: Email) -> str:
        return moment(email.created_at, seconds=False)

    @display(description="Customer")
    def customer_name(self, email: Email) -> str:
        return str(email.customer or "–")

    @display(description="Kind")
    def show_kind(self, email: Email) -> str:
        return email.get_kind_display()

    @display(description="Subject")
    def show_subject(self, email: Email) -> SafeString:
        return format_html('<span class="ch-subject">{}</span>', email.subject)

    @display(description="To")
    def recipients(self, email: Email) -> SafeString:
        return format_html('<span class="ch-wrap">{}</span>', ", ".join(email.to) or "–")

    @display(description="Copies to")
    def copies(self, email: Email) -> str:
        return ", ".join(email.cc) or "–"

    @display(description="Status")
    def state_badge(self, email: Email) -> SafeString:
        return badge(email.get_state_display(), VARIANTS[EmailState(email.state)], title=email.last_error)

    @display(description="Problem")
    def problem(self, email: Email) -> str:
        return email.last_error or "–"

    @display(description="Customer")
    def customer_link(self, email: Email) -> SafeString | str:
        return link(email.customer)

    @display(description="About")
    def document_link(self, email: Email) -> SafeString | str:
        if email.kind == EmailKind.STATEMENT:
            return f"Statement from {email.first_day} to {email.last_day}"
        if email.first_day is not None:
            return format_html(
                "{}, with a statement from {} to {}", link(email.document), email.first_day, email.last_day
            )
        return link(email.document)

    @display(description="Text")
    def message(self, email: Email) -> SafeString:
        return show_text(email.text)

    @display(description="Attachment")
    def attachment_text(self, email: Email) -> str:
        if not email.attachment_name:
            return "–"
        size, einvoice = (email.attachment_size or 0) / 1024, find_einvoice(email)
        text = f"{email.attachment_name}, {size:,.1f} KB, SHA-256 {email.attachment_sha256}"
        return text if einvoice is None else f"{text}; {einvoice.file_name}, SHA-256 {einvoice.sha256}"

    @display(description="Sent")
    def sent(self, email: Email) -> str:
        return moment(email.sent_at)

    @display(description="Attempts")
    def attempts(self, email: Email) -> str:
        return str(email.tries)

    @display(description="Next attempt")
    def next_attempt(self, email: Email) -> str:
        return moment(email.next_try_at)

    @display(description="Handled")
    def handled(self, email: Email) -> str:
        return moment(email.handled_at)

    @display(description="Sends again")
    def resends_link(self, email: Email) -> SafeString | str:
        return link(email.resends)

    @display(description="Sent by")
    def author(self, email: Email) -> str:
        return "automatically" if email.is_automatic else str(email.created_by or "the API")

    @display(description="ID")
    def id_text(self, email: Email) -> SafeString:
        return code(email.public_id)

    def has_attach_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        emails = Email.objects.filter(pk=object_id or 0).exclude(kind=EmailKind.TEST)
        return self.has_view_permission(request) and emails.filter(customer__erased_at=None).exists()

    def has_send_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        waiting = (EmailState.PENDING, EmailState.SENDING)
        emails = Email.objects.filter(pk=object_id or 0).exclude(kind=EmailKind.TEST).exclude(state__in=waiting)
        return may_send(request) and emails.exists()

    def has_handle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        problems = Email.objects.filter(pk=object_id or 0, state__in=PROBLEM_STATES, handled_at=None)
        return bool(request.user.has_perm("billing.change_email")) and problems.exists()

    @action(description="PDF", icon="picture_as_pdf", permissions=["attach"])
    def attachment(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Download the document as it is now. The SHA-256 tells whether it is as it was sent."""
        email = get_object_or_404(Email.objects.select_related(*RELATED), pk=object_id)
        try:
            made = make_attachment(email)
        except CannotEmail as refusal:
            return open_page(request, email.get_absolute_url(), str(refusal))
        return build_file_response(made.content, made.name) if made else open_page(request, email.get_absolute_url())

    @action(
        description="Send again",
        icon="replay",
        permissions=["send"],
        dialog={"title": "Send this document again?", "form_class": SendAgainForm, "form_submit_text": "Send"},
    )
    def send_again_one(self, request: HttpRequest, form: SendAgainForm, object_id: int) -> HttpResponse:
        """Send the document again, as another email."""
        return send_from_dialog(request, form)

    @action(
        description="Mark as handled",
        icon="check",
        permissions=["handle"],
        dialog={
            "title": "Mark this email as handled?",
            "description": "It no longer raises an alarm. Nothing is sent.",
            "form_class": OptionalReasonForm,
            "form_submit_text": "Mark as handled",
        },
    )
    def handle_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        """Note that someone took care of the problem."""
        email = get_object_or_404(Email, pk=object_id)
        mark_handled(email, now=timezone.now(), by=staff(request), reason=form.cleaned_data["reason"])
        return open_page(request, email.get_absolute_url(), "The email is marked as handled.")
