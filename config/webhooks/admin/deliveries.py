"""The deliveries of webhook messages: attempts, responses, and sending one again."""

import json
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display

from config.office.dialogs import action, confirm, open_page
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment
from config.templatetags.countinghouse import pretty_json
from config.webhooks.delivering import TRIES
from config.webhooks.endpoints import send_again
from config.webhooks.models import DeliveryState, WebhookAttempt, WebhookDelivery

VARIANTS = {DeliveryState.DELIVERED: "success", DeliveryState.PENDING: "info", DeliveryState.FAILED: "danger"}
# The model of a message's object, by the first matching prefix of the event type.
OBJECTS = {
    "invoice": "billing.Invoice",
    "payment": "billing.Payment",
    "refund": "billing.Payment",
    "credit_note": "billing.CreditNote",
    "email": "billing.Email",
    "reminder": "billing.Reminder",
    "wallet.transaction": "billing.WalletEntry",
    "wallet": "billing.Wallet",
    "customer": "customers.Customer",
    "subscription": "customers.Subscription",
    "usage": "events.UsageAlert",
    "late_adjustment": "billing.LateAdjustment",
    "api_key": "events.ApiKey",
    "simulation": "billing.Simulation",
    "approval": "config.Approval",
    "alarm": "config.Alarm",
    "webhook": "config.WebhookEndpoint",
}


class AttemptsInline(TabularInline):
    """The attempts of a delivery and their responses."""

    model = WebhookAttempt
    fields = ("started", "duration_ms", "status", "error", "response_text")
    readonly_fields = fields
    extra = 0
    can_delete = False
    show_title = False
    verbose_name_plural = "Attempts"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("config.view_webhookdelivery"))

    @display(description="Started")
    def started(self, attempt: WebhookAttempt) -> str:
        return moment(attempt.started_at)

    @display(description="Response")
    def response_text(self, attempt: WebhookAttempt) -> SafeString | str:
        return format_html('<code class="ch-code ch-wrap">{}</code>', attempt.response) if attempt.response else "–"


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(LongListAdmin):
    """Messages sent, or waiting to be sent, newest first."""

    list_display = ("created", "event_type", "about", "endpoint_url", "state_badge", "tries", "last_response")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("endpoint", RelatedDropdownFilter),
        ("message__event_type", ChoicesDropdownFilter),
    )
    list_select_related = ("message", "endpoint")
    fields = (
        *("created", "event_type", "about_link", "endpoint_url", "state_badge", "tries_text", "last_response"),
        *("next_try", "message_id_text", "body"),
    )
    readonly_fields = fields
    inlines = (AttemptsInline,)
    actions_detail = ("resend",)
    empty_title = "No deliveries yet"
    empty_text = "Messages to your webhook endpoints appear here with the responses."
    export_columns = (
        ("created_at", "message__created_at"),
        ("event_type", "message__event_type"),
        ("object_id", "message__object_id"),
        ("endpoint", "endpoint__url"),
        ("state", "state"),
        ("tries", "tries"),
        ("last_status", "last_status"),
        ("last_error", "last_error"),
    )

    def has_resend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("config.change_webhookdelivery"))

    @action(
        description="Send again",
        icon="replay",
        permissions=["resend"],
        url_path="resend",
        dialog=confirm(
            "Send this message again?",
            "The message keeps its ID, so a receiver can recognize a message it already has. Attempts start again.",
            "Send again",
        ),
    )
    def resend(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Send the message again."""
        delivery = get_object_or_404(WebhookDelivery, pk=object_id)
        url = reverse("admin:config_webhookdelivery_change", args=[delivery.pk])
        send_again(delivery, now=timezone.now())
        self.log_change(request, delivery, "Sent again")
        return open_page(
            request, url, "The message will be sent again within seconds. Reload the page to see the response."
        )

    @display(description="Created (UTC)")
    def created(self, delivery: WebhookDelivery) -> str:
        return moment(delivery.message.created_at)

    @display(description="Event")
    def event_type(self, delivery: WebhookDelivery) -> SafeString:
        return code(delivery.message.event_type)

    @display(description="Object")
    def about(self, delivery: WebhookDelivery) -> SafeString:
        return code(delivery.message.object_id)

    @display(description="Object")
    def about_link(self, delivery: WebhookDelivery) -> SafeString:
        event_type, object_id = delivery.message.event_type, delivery.message.object_id
        label = next((label for prefix, label in OBJECTS.items() if event_type.startswith(f"{prefix}.")), None)
        row = apps.get_model(label)._default_manager.filter(public_id=object_id).first() if label else None
        if row is None:
            return code(object_id)
        meta = row._meta
        url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        return format_html('<a class="ch-link" href="{}">{}</a> {}', url, row, code(object_id))

    @display(description="Endpoint")
    def endpoint_url(self, delivery: WebhookDelivery) -> SafeString:
        url = delivery.endpoint.get_absolute_url()
        return format_html('<a class="ch-link ch-wrap" href="{}">{}</a>', url, delivery.endpoint.url)

    @display(description="Status")
    def state_badge(self, delivery: WebhookDelivery) -> SafeString:
        at = delivery.next_try_at
        title = f"Next attempt at {localtime(at):%Y-%m-%d %H:%M:%S}" if at and delivery.endpoint.is_enabled else ""
        return badge(delivery.get_state_display(), VARIANTS[DeliveryState(delivery.state)], title=title)

    @display(description="Attempts")
    def tries_text(self, delivery: WebhookDelivery) -> str:
        return f"{delivery.tries} of {TRIES}"

    @display(description="Last response")
    def last_response(self, delivery: WebhookDelivery) -> SafeString | str:
        if delivery.last_error:
            return format_html('<span class="ch-wrap">{}</span>', delivery.last_error)
        return f"HTTP {delivery.last_status}" if delivery.last_status else "–"

    @display(description="Next attempt")
    def next_try(self, delivery: WebhookDelivery) -> str:
        if delivery.next_try_at and not delivery.endpoint.is_enabled:
            return "once the endpoint is enabled"
        return moment(delivery.next_try_at)

    @display(description="Message ID")
    def message_id_text(self, delivery: WebhookDelivery) -> SafeString:
        return code(delivery.message.public_id)

    @display(description="Body")
    def body(self, delivery: WebhookDelivery) -> SafeString:
        return format_html('<pre class="ch-json">{}</pre>', pretty_json(json.loads(delivery.message.body)))
