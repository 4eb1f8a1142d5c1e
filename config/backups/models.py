"""The record of backups, for the admin, the API and the alarm."""

from typing import ClassVar

from django.db import models


class Backup(models.Model):
    """A backup that was made, or that failed. The backup itself is a folder in BACKUP_DIR with the same name."""

    name = models.CharField(max_length=32, blank=True, help_text="The folder in BACKUP_DIR; blank if it failed.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    size = models.PositiveBigIntegerField(default=0, help_text="Of the dump, in bytes.")
    tables = models.PositiveIntegerField(default=0)
    rows = models.PositiveBigIntegerField(default=0)
    verified_at = models.DateTimeField(
        null=True, help_text="When it was restored into a scratch database and every table compared."
    )
    problem = models.TextField(blank=True, help_text="Why it failed, or what differed in the restored copy.")

    class Meta:
        ordering: ClassVar = ["-pk"]
        get_latest_by = "pk"

    def __str__(self) -> str:
        return self.name or f"Failed backup of {self.started_at:%Y-%m-%d %H:%M}"
