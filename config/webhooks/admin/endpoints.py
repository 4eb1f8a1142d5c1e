"""Webhook endpoints: which events they receive, their secrets and tests."""

from itertools import groupby
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from config.audit import recorded
from config.office.base import AuditedHistory
from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.shown_once import ShownOnceAdmin
from config.office.wording import badge, moment
from config.signin.confirming import ConfirmedForms
from config.webhooks.delivering import DISABLED_AFTER
from config.webhooks.endpoints import (
    change_endpoint,
    create_endpoint,
    remove_endpoint,
    rotate_secret,
    send_test,
)
from config.webhooks.models import WebhookEndpoint
from config.webhooks.names import CHOSEN
from config.webhooks.targets import TargetRefused, check_url

SUBJECTS = {
    "invoice": "Invoices",
    "payment": "Payments and refunds",
    "refund": "Payments and refunds",
    "credit_note": "Credit notes",
    "email": "Emails",
    "reminder": "Emails",
    "wallet": "Prepaid credit",
    "customer": "Customers",
    "subscription": "Subscriptions",
    "usage": "Usage",
    "late_adjustment": "Usage",
    "problem": "Usage",
    "conflict": "Usage",
    "month": "Month end",
    "simulation": "Simulations",
    "api_key": "API keys",
    "approval": "Approvals",
    "alarm": "Alarms",
}
ORDER = list(SUBJECTS.values())


def subject(choice: tuple[str, str]) -> str:
    return SUBJECTS[choice[0].partition(".")[0]]


def by_subject() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the event types grouped by subject, as choices of a form."""
    in_order = sorted(CHOSEN, key=lambda choice: ORDER.index(subject(choice)))
    return [(name, list(choices)) for name, choices in groupby(in_order, subject)]


class EndpointForm(forms.ModelForm):
    """The address of an endpoint and the events it receives."""

    event_types = forms.MultipleChoiceField(
        label="Events",
        choices=by_subject,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Leave blank to receive all events, including those added in later releases.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("url", "description", "event_types", "is_enabled")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        try:
            check_url(url)
        except TargetRefused as refusal:
            raise ValidationError(str(refusal)) from refusal
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ConfirmedForms, AuditedHistory, ShownOnceAdmin):
    """Addresses that receive webhooks. A signing secret is shown once, when it is created."""

    form = EndpointForm
    list_display = ("address", "description", "state_badge", "events_received", "last_success", "deliveries_link")
    list_filter = (("is_enabled", BooleanRadioFilter),)
    search_fields = ("url", "description", "public_id")
    shown_once_template = "admin/config/webhook_secret.html"
    list_title = "Webhooks"
    empty_title = "No webhooks yet"
    empty_text = "Add an endpoint to receive invoice, payment, alert and problem events."
    actions_list = ("all_deliveries",)
    actions_detail = ("send_test_message", "rotate", "remove")
    readonly_fields = ("state_badge", "failing", "last_success", "deliveries_link", "public_id")
    fieldsets = (
        (None, {"fields": ("url", "description", "event_types", "is_enabled")}),
        ("Status", {"fields": ("state_badge", "failing", "last_success", "deliveries_link", "public_id")}),
    )
    add_fieldsets = ((None, {"fields": ("url", "description", "event_types")}),)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # the Remove action asks for a reason and doesn't list every delivery

    def has_see_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("config.view_webhookdelivery"))

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("config.delete_webhookendpoint"))

    def save_model(self, request: Any, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        """Save the changes, or create the endpoint. Its secret is only in the response, nowhere else."""
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            change_endpoint(obj, by=staff(request), now=timezone.now(), **changes)
            return
        endpoint = create_endpoint(by=staff(request), **form.cleaned_data)
        request.new_secret, obj.pk = endpoint.secret, endpoint.pk
        obj.refresh_from_db()

    def response_add(self, request: Any, obj: WebhookEndpoint, post_url_continue: str | None = None) -> HttpResponse:
        """Show the signing secret, which is never shown again."""
        return self._show_secret(request, obj, request.new_secret, "Endpoint created")

    @action(description="All deliveries", icon="outbox", url_path="deliveries", permissions=["see"])
    def all_deliveries(self, request: HttpRequest) -> HttpResponse:
        """Open the list of deliveries to all endpoints."""
        return HttpResponseRedirect(reverse("admin:config_webhookdelivery_changelist"))

    @action(
        description="Send a test",
        icon="send",
        permissions=["change"],
        url_path="test",
        dialog=confirm("Send a test message?", "The endpoint receives a message of the type webhook.test.", "Send"),
    )
    def send_test_message(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Send a `webhook.test` message and open its delivery."""
        delivery = send_test(get_object_or_404(WebhookEndpoint, pk=object_id), now=timezone.now())
        url = reverse("admin:config_webhookdelivery_change", args=[delivery.pk])
        return open_page(request, url, "The test will be sent within seconds. Reload the page to see the response.")

    @action(
        description="Rotate secret",
        icon="autorenew",
        permissions=["change"],
        url_path="rotate",
        confirmed=True,
        dialog=confirm(
            "Rotate the signing secret?",
            "The new secret is shown once. For 24 hours messages are signed with both secrets: update the receiver"
            " within that time.",
            "Rotate secret",
        ),
    )
    def rotate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Create a new secret and show it once."""
        endpoint = rotate_secret(get_object_or_404(WebhookEndpoint, pk=object_id), now=timezone.now())
        self.log_change(request, endpoint, "Secret rotated")
        note = "For 24 hours messages are signed with the old secret as well."
        return self._show_secret(request, endpoint, endpoint.secret, "New signing secret", note)

    @action(
        description="Remove",
        icon="delete",
        variant=ActionVariant.DANGER,
        permissions=["remove"],
        url_path="remove",
        dialog=confirm(
            "Remove this endpoint?",
            "The endpoint receives no more messages. The record of its deliveries is deleted, too.",
            "Remove endpoint",
            ReasonForm,
        ),
    )
    def remove(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Remove the endpoint and record the reason."""
        endpoint = get_object_or_404(WebhookEndpoint, pk=object_id)
        with recorded(by=staff(request), reason=form.cleaned_data["reason"]):
            remove_endpoint(endpoint)
        return open_page(request, reverse("admin:config_webhookendpoint_changelist"), f"{endpoint.url} was removed.")

    def _show_secret(
        self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str, title: str, note: str = ""
    ) -> HttpResponse:
        return self.show_once(
            request,
            title=title,
            secret=secret,
            note=note,
            endpoint_url=endpoint.get_absolute_url(),
            list_url=reverse("admin:config_webhookendpoint_changelist"),
        )

    @display(description="Address", ordering="url")
    def address(self, endpoint: WebhookEndpoint) -> SafeString:
        return format_html('<span class="ch-wrap">{}</span>', endpoint.url)

    @display(description="Status")
    def state_badge(self, endpoint: WebhookEndpoint) -> SafeString:
        if not endpoint.is_enabled:
            return badge("Disabled", "danger", title=endpoint.disabled_reason or "Disabled manually")
        if endpoint.failing_since:
            return badge("Failing", "warning", title=f"Automatically disabled after {DISABLED_AFTER.days} days")
        return badge("Enabled", "success")

    @display(description="Failures")
    def failing(self, endpoint: WebhookEndpoint) -> SafeString | str:
        if endpoint.disabled_reason:
            return f"{endpoint.disabled_reason} Fix the receiver, then enable the endpoint to send waiting messages."
        if endpoint.failing_since:
            return format_html("no message accepted since {}", moment(endpoint.failing_since))
        return "none"

    @display(description="Events")
    def events_received(self, endpoint: WebhookEndpoint) -> SafeString:
        labels = dict(CHOSEN)
        names = ((labels.get(name, name),) for name in endpoint.event_types) if endpoint.event_types else (("All",),)
        return format_html_join(" ", '<span class="ch-badge">{}</span>', names)

    @display(description="Last success (UTC)", ordering="last_success_at")
    def last_success(self, endpoint: WebhookEndpoint) -> str:
        return moment(endpoint.last_success_at) if endpoint.last_success_at else "never"

    @display(description="Deliveries")
    def deliveries_link(self, endpoint: WebhookEndpoint) -> SafeString:
        url = reverse("admin:config_webhookdelivery_changelist")
        return format_html('<a class="ch-link" href="{}?endpoint__id__exact={}">Show deliveries</a>', url, endpoint.pk)
