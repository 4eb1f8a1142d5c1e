"""Rules that say which actions need approval, and the requests for it."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Self

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from config.approvals.kinds import (
    WITH_AMOUNT,
    ApprovalStatus,
    RuleMode,
    list_kinds,
    list_operations,
)
from config.db import UNLESS_ERASING, PublicIdField, Stamped, keep_rows
from config.numbers import write_amounts

EXPIRES_DAYS = 7
MOST_DAYS = 90


class ApprovalRule(Stamped):
    """When one kind of action needs approval. A currency without a limit always needs it."""

    kind = models.CharField("action", max_length=20, choices=list_kinds, unique=True, editable=False)
    mode = models.CharField("needs approval", max_length=10, choices=RuleMode, default=RuleMode.OFF)
    limits = models.JSONField(default=dict, blank=True, help_text="The largest amount without approval, by currency.")
    expires_days = models.PositiveSmallIntegerField(
        "requests expire after",
        default=EXPIRES_DAYS,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_DAYS)],
        help_text=f"Days, from 1 to {MOST_DAYS}.",
    )

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = "approval rule"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="approval_rule_limits_if_above",
                condition=Q(mode=RuleMode.ABOVE) & ~Q(limits={}) | ~Q(mode=RuleMode.ABOVE) & Q(limits={}),
            )
        ]

    def __str__(self) -> str:
        return self.get_kind_display()

    def get_absolute_url(self) -> str:
        return reverse("admin:config_approvalrule_change", args=[self.pk])

    @property
    def has_amount(self) -> bool:
        return self.kind in WITH_AMOUNT

    def covers(self, amounts: dict[str, Decimal]) -> bool:
        """Return whether an action with these amounts by currency needs approval."""
        if self.mode == RuleMode.ABOVE:
            return any(self._exceeds(currency, amount) for currency, amount in amounts.items())
        return self.mode == RuleMode.ALWAYS

    def _exceeds(self, currency: str, amount: Decimal) -> bool:
        limit = self.limits.get(currency)
        return amount != 0 and (limit is None or abs(amount) > Decimal(limit))

    def describe(self) -> str:
        """Return the rule in words, for example "Above $1,000.00"."""
        if self.mode != RuleMode.ABOVE:
            return self.get_mode_display()
        limits = {currency: Decimal(limit) for currency, limit in self.limits.items()}
        return f"Above {write_amounts(limits)}; always in other currencies"


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def waiting(self, now: datetime) -> Self:
        """Select the requests that can still be decided."""
        return self.filter(status=ApprovalStatus.REQUESTED, expires_at__gt=now)


FREEZE = f"""
    {UNLESS_ERASING}
    IF TG_OP = 'DELETE' OR OLD.status <> 'requested' OR
       (NEW.public_id, NEW.kind, NEW.operation, NEW.about, NEW.inputs, NEW.amounts, NEW.digest, NEW.reason,
        NEW.requested_by_id, NEW.requested_key, NEW.requested_family, NEW.responsible_id, NEW.requested_at,
        NEW.expires_at)
       IS DISTINCT FROM
       (OLD.public_id, OLD.kind, OLD.operation, OLD.about, OLD.inputs, OLD.amounts, OLD.digest, OLD.reason,
        OLD.requested_by_id, OLD.requested_key, OLD.requested_family, OLD.responsible_id, OLD.requested_at,
        OLD.expires_at)
    THEN
        RAISE EXCEPTION 'a request for approval is decided once, and what was requested never changes'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
"""


class Approval(Stamped):
    """A request to carry out an action, and the decision about it."""

    public_id = PublicIdField("appr")
    kind = models.CharField("rule", max_length=20, choices=list_kinds)
    operation = models.CharField("action", max_length=30, choices=list_operations)
    status = models.CharField(max_length=10, choices=ApprovalStatus, default=ApprovalStatus.REQUESTED)
    title = models.CharField(max_length=255)
    effect = models.TextField(blank=True)
    about = ArrayField(models.CharField(max_length=80), help_text="The objects, as app.model:primary key.")
    content_type = models.ForeignKey(ContentType, models.PROTECT, null=True, related_name="+")
    object_id = models.BigIntegerField(null=True)
    object_public_id = models.CharField(max_length=40, blank=True)
    object_name = models.CharField("object", max_length=255, blank=True)
    inputs = models.JSONField(help_text="What is carried out, exactly.")
    amounts = models.JSONField(default=dict, help_text="By currency.")
    digest = models.CharField(max_length=64, help_text="Equal requests have equal digests.")
    reason = models.CharField(max_length=255, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    requested_key = models.CharField("requested by API key", max_length=300, blank=True)
    requested_family = models.BigIntegerField(null=True)
    responsible = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="The colleague who was responsible for the API key.",
    )
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    decided_key = models.CharField("decided by API key", max_length=300, blank=True)
    decision_reason = models.CharField(max_length=255, blank=True)
    outcome = models.TextField(blank=True)
    result_id = models.CharField(max_length=40, blank=True, help_text="The object that was created or changed.")

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["digest"], condition=Q(status=ApprovalStatus.REQUESTED), name="approval_requested_once"
            ),
            models.CheckConstraint(
                name="approval_has_requester", condition=Q(requested_by__isnull=False) | ~Q(requested_key="")
            ),
            models.CheckConstraint(
                name="approval_by_another",
                condition=~Q(status__in=[ApprovalStatus.APPROVED, ApprovalStatus.REJECTED, ApprovalStatus.FAILED])
                | Q(decided_by__isnull=False) & ~Q(decided_by=F("requested_by")) & ~Q(decided_by=F("responsible")),
            ),
        ]
        indexes: ClassVar = [
            GinIndex(fields=["about"], name="approval_about"),
            models.Index(fields=["expires_at"], condition=Q(status="requested"), name="approval_expiring"),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="freeze_request",
                when=pgtrigger.Before,
                operation=pgtrigger.Update | pgtrigger.Delete,
                func=FREEZE,
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("admin:config_approval_change", args=[self.pk])

    @property
    def requester(self) -> str:
        """The name of the colleague, or of the API key."""
        return name_of(self.requested_by, self.requested_key)

    @property
    def decider(self) -> str:
        """The name of the colleague who decided, with the API key if they used one; blank if no one has."""
        return name_of(self.decided_by, self.decided_key) if self.decided_by or self.decided_key else ""

    @property
    def object_key(self) -> int:
        """The primary key of the object of an operation on only one."""
        if self.object_id is None:
            raise LookupError(f"{self.public_id} is about several objects.")
        return self.object_id

    @property
    def is_waiting(self) -> bool:
        return self.status == ApprovalStatus.REQUESTED

    @property
    def money(self) -> dict[str, Decimal]:
        """The amounts by currency."""
        return {currency: Decimal(amount) for currency, amount in self.amounts.items()}


def name_of(user: Any, key: str) -> str:
    """Return the name of a colleague or an API key, or of the key and its colleague."""
    name = str(user.get_full_name() or user.get_username()) if user else ""
    if not key:
        return name
    return f"API key {key}, {name}" if name else f"API key {key}"


auditlog.register(ApprovalRule, exclude_fields=["updated_at"])
auditlog.register(
    Approval, exclude_fields=["updated_at", "digest", "about", "content_type", "object_id", "object_public_id"]
)
