"""Alarms, from when they opened to when they were cleared."""

from typing import ClassVar, Self

from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from config.alarms.kinds import AlarmStatus, list_kinds
from config.approvals.models import name_of
from config.db import PublicIdField


class AlarmQuerySet(models.QuerySet["Alarm"]):
    def open(self) -> Self:
        """Select the alarms that aren't cleared."""
        return self.filter(cleared_at=None)

    def unacknowledged(self) -> Self:
        """Select the open alarms that no one has acknowledged."""
        return self.open().filter(acknowledged_at=None)


class Alarm(models.Model):
    """Something that a person must look at. It is cleared when it is over, which no one does by hand.

    The same thing has one open alarm, however often it is seen.
    """

    public_id = PublicIdField("alarm")
    kind = models.CharField(max_length=30, choices=list_kinds)
    about = models.CharField(
        max_length=255, blank=True, help_text="What it is about, if there can be several: a schedule, an endpoint."
    )
    message = models.TextField()
    what_to_do = models.TextField()
    url = models.CharField("link", max_length=1000, blank=True, help_text="The address of the page to look at.")
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField("last seen at")
    cleared_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True, help_text="When the last email about the open alarm was sent.")
    clearing_mailed_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    acknowledged_key = models.CharField("acknowledged by API key", max_length=300, blank=True)
    note = models.CharField(max_length=255, blank=True)

    objects = AlarmQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "about"], condition=Q(cleared_at=None), name="alarm_open_once"),
            models.CheckConstraint(
                name="alarm_acknowledged_by_someone",
                condition=Q(acknowledged_at=None, acknowledged_by=None, acknowledged_key="")
                | Q(acknowledged_at__isnull=False) & (Q(acknowledged_by__isnull=False) | ~Q(acknowledged_key="")),
            ),
        ]

    def __str__(self) -> str:
        """Name the alarm without its message: the change log keeps the name, and a message can quote a customer's."""
        return f"{self.get_kind_display()}: {self.about}" if self.about else self.get_kind_display()

    def get_absolute_url(self) -> str:
        return reverse("admin:config_alarm_change", args=[self.pk])

    @property
    def acknowledger(self) -> str:
        """The name of the colleague or API key that acknowledged the alarm; blank if no one has."""
        return name_of(self.acknowledged_by, self.acknowledged_key) if self.acknowledged_at else ""

    @property
    def status(self) -> AlarmStatus:
        """Return the status, which the times decide."""
        if self.cleared_at is not None:
            return AlarmStatus.CLEARED
        return AlarmStatus.OPEN if self.acknowledged_at is None else AlarmStatus.ACKNOWLEDGED


auditlog.register(Alarm, include_fields=["acknowledged_at", "acknowledged_by", "acknowledged_key", "note"])
