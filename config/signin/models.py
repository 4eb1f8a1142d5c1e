"""The rules for signing in, the log of sign-ins, and sessions."""

from typing import Any, ClassVar, Self

from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Func, Q, Subquery, Value
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from config.db import Stamped

IDLE_MINUTES, LONGEST_HOURS, CONFIRMED_MINUTES = 60, 12, 30
LONGEST_AGENT = 300


class SignInRules(Stamped):
    """Who needs a second factor, and how long a session lasts. One row for the company."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    second_factor_roles = models.ManyToManyField(
        "auth.Group",
        blank=True,
        verbose_name="roles that require a second factor",
        help_text="Colleagues with one of these roles set one up before anything else.",
    )
    second_factor_superusers = models.BooleanField("superusers require a second factor", default=False)
    trusts_providers = models.BooleanField(
        "the identity provider asks for the second factor",
        default=False,
        help_text="Colleagues who sign in through the identity provider don't need another one here.",
    )
    idle_minutes = models.PositiveSmallIntegerField(
        "idle timeout",
        default=IDLE_MINUTES,
        validators=[MinValueValidator(5), MaxValueValidator(24 * 60)],
        help_text="Minutes without activity after which a colleague is signed out: 5 to 1,440.",
    )
    longest_hours = models.PositiveSmallIntegerField(
        "longest session",
        default=LONGEST_HOURS,
        validators=[MinValueValidator(1), MaxValueValidator(7 * 24)],
        help_text="Hours after which a colleague signs in again, active or not: 1 to 168.",
    )
    confirmed_minutes = models.PositiveSmallIntegerField(
        "confirmation",
        default=CONFIRMED_MINUTES,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 60)],
        help_text="Minutes after a sign-in or a confirmation in which API keys, webhook secrets, staff, roles and"
        " refunds don't ask for another: 1 to 1,440.",
    )

    class Meta:
        verbose_name = "sign-in rules"
        verbose_name_plural = "sign-in rules"
        constraints: ClassVar = [
            models.CheckConstraint(name="sign_in_rules_one_row", condition=Q(id=1)),
            models.CheckConstraint(
                name="sign_in_rules_times",
                condition=Q(idle_minutes__gte=5, longest_hours__gte=1, confirmed_minutes__gte=1),
            ),
        ]

    def __str__(self) -> str:
        return "Sign-in rules"


class SignInKind(models.TextChoices):
    """What happened."""

    SIGNED_IN = "signed_in", "Signed in"
    FAILED = "failed", "Failed"
    LOCKED = "locked", "Locked"
    SIGNED_OUT = "signed_out", "Signed out"
    CONFIRMED = "confirmed", "Confirmed"
    CONFIRMATION_FAILED = "confirmation_failed", "Confirmation failed"
    FACTOR_ADDED = "factor_added", "Second factor added"
    FACTOR_REMOVED = "factor_removed", "Second factor removed"
    CODES_CREATED = "codes_created", "Recovery codes created"
    PASSWORD_CHANGED = "password_changed", "Password changed"
    SESSIONS_ENDED = "sessions_ended", "Sessions ended"


class SignInEvent(models.Model):
    """One sign-in, failure, or change of how a colleague signs in. Rows are never changed.

    A name that belongs to no one isn't stored: people type passwords there by mistake.
    """

    at = models.DateTimeField("time", db_default=Now())
    kind = models.CharField("event", max_length=20, choices=SignInKind)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name="colleague",
        db_index=False,
    )
    username = models.CharField(max_length=150, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField("browser", max_length=LONGEST_AGENT, blank=True)
    request_id = models.CharField("request ID", max_length=64, blank=True)

    class Meta:
        verbose_name = "sign-in"
        verbose_name_plural = "sign-ins"
        default_permissions: ClassVar = ("view",)
        indexes: ClassVar = [
            models.Index(fields=["user", "-id"], name="sign_in_by_user"),
            models.Index(fields=["at"], name="sign_in_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.username or 'an unknown name'}"


class StaffSessions(models.QuerySet["StaffSession"]):
    """Sessions by whether they still let someone in."""

    def live(self) -> Self:
        """Select the sessions that aren't over by the rules, of which the database's clock decides."""
        rules = SignInRules.objects.filter(pk=1)
        idle = _interval("mins", Coalesce(Subquery(rules.values("idle_minutes")), Value(IDLE_MINUTES)))
        longest = _interval("hours", Coalesce(Subquery(rules.values("longest_hours")), Value(LONGEST_HOURS)))
        unexpired = self.filter(expire_date__gt=timezone.now())
        return unexpired.filter(last_seen_at__gt=Now() - idle, signed_in_at__gt=Now() - longest)

    def over(self) -> Self:
        return self.exclude(pk__in=self.model.objects.live().values("pk"))

    def signed_in(self) -> Self:
        """Select live sessions of colleagues, the latest first, with the colleagues loaded."""
        return self.live().exclude(user=None).select_related("user").order_by("-last_seen_at")


def _interval(unit: str, amount: Any) -> Func:
    template = f"make_interval({unit} => %(expressions)s)"
    return Func(amount, template=template, output_field=models.DurationField())


class StaffSession(AbstractBaseSession):
    """A session, with whose it is and where it was last used."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="staff_sessions")
    signed_in_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=LONGEST_AGENT, blank=True)

    objects = StaffSessions.as_manager()  # type: ignore[misc,assignment]  # Django's own has no querysets

    class Meta:
        verbose_name = "session"
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return f"session of {self.user}"


class CacheEntry(models.Model):
    """A row of Django's cache in the database: attempts that are counted, and codes that were used."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "config_cache"
        default_permissions: ClassVar = ()

    def __str__(self) -> str:
        return self.cache_key


auditlog.register(SignInRules, exclude_fields=["updated_at"], m2m_fields={"second_factor_roles"})
