"""Records of installed defaults, so that a default that staff deleted isn't installed again."""

from django.db import models


class InstalledSchedule(models.Model):
    """A default schedule that was installed, so that the next migrate doesn't install it again."""

    task = models.CharField(max_length=200, primary_key=True)
    installed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "installed schedule"

    def __str__(self) -> str:
        return self.task


class InstalledGrant(models.Model):
    """A permission that was granted to a default role, so that the next migrate doesn't grant it again."""

    role = models.CharField(max_length=150)
    permission = models.CharField(max_length=255)

    class Meta:
        verbose_name = "installed grant"
        constraints = [models.UniqueConstraint(fields=["role", "permission"], name="grant_installed_once")]

    def __str__(self) -> str:
        return f"{self.role}: {self.permission}"
