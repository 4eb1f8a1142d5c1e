"""API keys, and the log of refused requests."""

from datetime import datetime
from typing import ClassVar, Self

from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse

from config.db import PublicIdField, Stamped
from events.reasons import Reason


class Scope(models.TextChoices):
    """What a key may do. `all` includes every other scope."""

    ALL = "all", "Everything"
    EVENTS_WRITE = "events:write", "Send events"
    READ = "read", "Read everything"
    CATALOG_WRITE = "catalog:write", "Change features and plans"
    CUSTOMERS_WRITE = "customers:write", "Change customers and subscriptions"
    BILLING_WRITE = "billing:write", "Change invoices and credits"
    KEYS_WRITE = "keys:write", "Manage API keys"
    APPROVALS_WRITE = "approvals:write", "Decide about approvals"
    ALARMS_WRITE = "alarms:write", "Acknowledge alarms"
    PERSONAL_DATA = "personal_data", "Export and erase personal data"


def scope_choices() -> list[tuple[str, str]]:
    """Return the scopes as choices of a model field. Migrations name this function, not its result."""
    return Scope.choices


def all_scopes() -> list[str]:
    """Give a new key every scope."""
    return [Scope.ALL]


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self, now: datetime) -> Self:
        """Select the keys that are neither revoked, expired nor waiting for approval."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None, awaits_approval=False)


class ApiKey(Stamped):
    """A client system's API key. Only its hash is stored; the key itself is shown once, when it is created."""

    public_id = PublicIdField("key")
    name = models.CharField(max_length=255)
    prefix = models.CharField(
        max_length=16,
        unique=True,
        editable=False,
        help_text="The key's first characters, to tell keys apart.",
    )
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=32, choices=scope_choices), default=all_scopes)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    awaits_approval = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Requests with the key are refused until it is approved.",
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    single_per_minute = models.PositiveIntegerField(
        "single requests per minute",
        null=True,
        blank=True,
        help_text="Leave blank to use the company's limit. 0 means no limit.",
    )
    bulk_per_minute = models.PositiveIntegerField(
        "bulk requests per minute",
        null=True,
        blank=True,
        help_text="Leave blank to use the company's limit. 0 means no limit.",
    )
    replaces = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, editable=False, related_name="replaced_by"
    )
    family = models.BigIntegerField(
        null=True,
        editable=False,
        help_text="The primary key of the first key of its rotations. Blank for that key itself.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    responsible = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        help_text="The colleague whose permissions limit the key.",
    )

    is_self_test = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="The product's own key: what it sends is counted by the self-test only, and never stored.",
    )

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def get_absolute_url(self) -> str:
        return reverse("admin:events_apikey_change", args=[self.pk])


class RefusedRequest(models.Model):
    """Requests that were answered with 4xx. Equal requests within a minute share a row, so that a flood stays small.

    Requests without a key that exists share a row for each hour, status and endpoint, whatever they contain.
    """

    minute = models.DateTimeField(help_text="The minute of arrival, or the hour without a key that exists, UTC.")
    key_prefix = models.CharField(max_length=16, blank=True)
    status = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=32, choices=Reason)
    path = models.CharField(max_length=128)
    field = models.CharField(max_length=255, blank=True)
    message = models.CharField(max_length=512)
    count = models.PositiveBigIntegerField(default=1)
    last_at = models.DateTimeField()
    first_address = models.GenericIPAddressField(null=True, blank=True, help_text="Where the first request came from.")
    last_address = models.GenericIPAddressField(null=True, blank=True, help_text="Where the last request came from.")

    class Meta:
        ordering: ClassVar = ["-last_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["minute", "key_prefix", "status", "path", "field", "message"],
                name="refused_request_once_a_minute",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["-last_at", "-id"], name="refused_newest")]

    def __str__(self) -> str:
        return f"{self.status} {self.path}: {self.message}"


auditlog.register(ApiKey, exclude_fields=["updated_at", "last_used_at", "secret_hash"])
