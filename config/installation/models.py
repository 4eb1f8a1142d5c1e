"""What was installed by default, so that a default that staff deleted isn't installed again."""

from django.db import models


class InstalledSchedule(models.Model):
    """A default schedule that was installed once, so that deleting it is not undone by the next migrate."""

    task = models.CharField(max_length=200, primary_key=True)
    installed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "installed schedule"

    def __str__(self) -> str:
        return self.task


class InstalledGrant(models.Model):
    """A permission that a default role was given once, so that taking it away is not undone by the next migrate."""

    role = models.CharField(max_length=150)
    permission = models.CharField(max_length=255)

    class Meta:
        verbose_name = "installed grant"
        constraints = [models.UniqueConstraint(fields=["role", "permission"], name="grant_installed_once")]

    def __str__(self) -> str:
        return f"{self.role}: {self.permission}"
