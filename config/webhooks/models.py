"""Webhook endpoints, messages, their deliveries and attempts."""

import base64
import secrets
from typing import ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse

from config.db import PublicIdField, Stamped
from config.db.encrypted import EncryptedTextField
from config.webhooks.names import chosen_event_types, event_types

EXCERPT = 500
MOST_ENDPOINTS = 50


def make_secret() -> str:
    """Return a new signing secret of 256 random bits in the format of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


class WebhookEndpoint(Stamped):
    """An address that receives webhooks, and the secret that signs its messages."""

    public_id = PublicIdField("we")
    url = models.CharField("address", max_length=1000, help_text="An https:// address that accepts POST requests.")
    description = models.CharField(max_length=255, blank=True)
    event_types = ArrayField(
        models.CharField(max_length=40, choices=chosen_event_types),
        default=list,
        blank=True,
        verbose_name="events",
        help_text="Leave blank to receive all events.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    secret = EncryptedTextField(default=make_secret, editable=False)
    old_secret = EncryptedTextField(blank=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    last_success_at = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_reason = models.CharField(max_length=255, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = "webhook endpoint"

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        return reverse("admin:config_webhookendpoint_change", args=[self.pk])


class WebhookMessage(models.Model):
    """A message as sent. It is written in the transaction of the change it reports, and never altered."""

    public_id = PublicIdField("msg")
    event_type = models.CharField(max_length=40, choices=event_types)
    object_id = models.CharField(max_length=255, help_text="The public ID of the object.")
    body = models.TextField(help_text="The exact JSON that is signed and sent.")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "webhook message"

    def __str__(self) -> str:
        return f"{self.event_type} {self.object_id}"


class DeliveryState(models.TextChoices):
    """The status of a delivery. A failed delivery isn't retried until someone sends it again."""

    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"


class WebhookDelivery(models.Model):
    """One message to one endpoint: tried until it is taken, or too often."""

    public_id = PublicIdField("whd")
    message = models.ForeignKey(WebhookMessage, models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries", db_index=False)
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    tries = models.PositiveSmallIntegerField(default=0, help_text="Since it was first sent, or last sent again.")
    next_try_at = models.DateTimeField(db_default=Now(), null=True)
    delivered_at = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField(null=True)
    last_error = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "webhook delivery"
        verbose_name_plural = "webhook deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message", "endpoint"], name="webhook_delivery_once"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.PENDING, next_try_at__isnull=False)
                | (~Q(state=DeliveryState.PENDING) & Q(next_try_at=None)),
                name="webhook_delivery_pending_has_next",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["endpoint", "next_try_at"],
                condition=Q(state=DeliveryState.PENDING),
                name="webhook_delivery_due",
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_delivery_newest"),
            models.Index(fields=["state", "-id"], name="webhook_delivery_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.message} to {self.endpoint}"


class WebhookAttempt(models.Model):
    """One attempt of a delivery and its response."""

    delivery = models.ForeignKey(WebhookDelivery, models.CASCADE, related_name="attempts")
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, help_text="Blank if there was no response.")
    error = models.CharField(max_length=255, blank=True)
    response = models.CharField(max_length=EXCERPT, blank=True, help_text=f"The first {EXCERPT} characters.")

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = "webhook attempt"

    def __str__(self) -> str:
        return f"{self.status or self.error} at {self.started_at:%Y-%m-%d %H:%M:%S}"


auditlog.register(
    WebhookEndpoint,
    exclude_fields=["updated_at", "secret", "old_secret", "old_secret_until", "failing_since", "last_success_at"],
)
