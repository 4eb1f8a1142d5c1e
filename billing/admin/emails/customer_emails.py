"""A customer's emails: sending a statement, and the list of what was sent."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin

from billing.admin.emails.email_admin import may_send, send_from_dialog
from billing.admin.emails.forms import SendStatementForm
from config.office.dialogs import action
from config.office.links import admin_url
from customers.admin import add_customer_action


@action(
    description="Email a statement",
    icon="forward_to_inbox",
    permissions=["send_statement"],
    dialog={"title": "Email a statement", "form_class": SendStatementForm, "form_submit_text": "Send"},
)
def send_statement(customers: ModelAdmin, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
    """Send a statement of account to the customer."""
    return send_from_dialog(request, form)


@action(description="Emails", icon="mail", permissions=["open_emails"])
def open_emails(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Open the list of the customer's emails."""
    return HttpResponseRedirect(admin_url("billing_email_changelist", customer__id__exact=object_id))


def may_send_statement(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return may_send(request)


def may_open(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return bool(request.user.has_perm("billing.view_email"))


add_customer_action("send_statement", send_statement, allowed=may_send_statement)
add_customer_action("open_emails", open_emails, allowed=may_open)
