"""Where messages go, what they say, and how their delivery went."""

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
from config.webhooks.names import CHOSEN, WebhookEvent

EXCERPT = 500
MOST_ENDPOINTS = 50


def make_secret() -> str:
    """Draw a signing secret, 256 random bits, written as Standard Webhooks wants it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


class WebhookEndpoint(Stamped):
    """An address that wants to be told, and the secret that its messages are signed with."""

    public_id = PublicIdField("we")
    url = models.CharField("address", max_length=1000, help_text="An https:// address that takes POST.")
    description = models.CharField(max_length=255, blank=True)
    event_types = ArrayField(
        models.CharField(max_length=40, choices=CHOSEN),
        default=list,
        blank=True,
        verbose_name="told of",
        help_text="None chosen: of everything.",
    )
    is_enabled = models.BooleanField("enabled", default=True)
    secret = models.CharField(max_length=100, default=make_secret, editable=False)
    old_secret = models.CharField(max_length=100, blank=True, editable=False)
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
    """What happened, as it is sent: written in the transaction of the change, and never altered."""

    public_id = PublicIdField("msg")
    event_type = models.CharField(max_length=40, choices=WebhookEvent)
    object_id = models.CharField(max_length=255, help_text="The public id of what it is about.")
    body = models.TextField(help_text="The JSON that is signed and sent, byte by byte.")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "webhook message"

    def __str__(self) -> str:
        return f"{self.event_type} {self.object_id}"


class DeliveryState(models.TextChoices):
    """How a delivery stands. A failed one is tried no more unless somebody sends it again."""

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
    """One try of a delivery: when, how long, and what was answered."""

    delivery = models.ForeignKey(WebhookDelivery, models.CASCADE, related_name="attempts")
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, help_text="None: nothing was answered.")
    error = models.CharField(max_length=255, blank=True)
    response = models.CharField(max_length=EXCERPT, blank=True, help_text=f"The answer's first {EXCERPT} characters.")

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = "webhook attempt"

    def __str__(self) -> str:
        return f"{self.status or self.error} at {self.started_at:%Y-%m-%d %H:%M:%S}"


auditlog.register(
    WebhookEndpoint,
    exclude_fields=["updated_at", "secret", "old_secret", "old_secret_until", "failing_since", "last_success_at"],
)
