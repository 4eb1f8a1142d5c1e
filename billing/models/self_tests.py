"""The results of the self-test."""

from dataclasses import dataclass
from typing import ClassVar

from django.db import models


class SelfTestStage(models.TextChoices):
    """What the self-test does, in order."""

    ACCEPTED = "accepted", "Events accepted"
    COUNTED = "counted", "Events counted"
    INVOICED = "invoiced", "Invoice calculated"
    FINALIZED = "finalized", "Invoice finalized"
    DOCUMENT = "document", "PDF written"
    WEBHOOK = "webhook", "Webhook received"


@dataclass(frozen=True, slots=True)
class PassedStage:
    """A stage that passed, and how long it took."""

    stage: SelfTestStage
    milliseconds: int


class SelfTest(models.Model):
    """A pass of the self-test: how long each stage took, and the stage that failed, if any.

    Nothing else of the self-test is stored: its customer, usage and invoice exist in a transaction that is rolled back.
    """

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    stages = models.JSONField(default=dict, help_text="Milliseconds by stage, of the stages that passed.")
    failed_stage = models.CharField(max_length=16, choices=SelfTestStage, blank=True)
    problem = models.TextField(blank=True, help_text="What happened instead of what was expected.")

    class Meta:
        ordering: ClassVar = ["-pk"]
        get_latest_by = "pk"
        verbose_name = "self-test"
        constraints: ClassVar = [
            models.CheckConstraint(
                name="self_test_failure_has_problem",
                condition=models.Q(failed_stage="", problem="") | ~models.Q(failed_stage="") & ~models.Q(problem=""),
            )
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M:%S}"

    @property
    def passed_stages(self) -> list[PassedStage]:
        """The stages that passed, in order."""
        return [PassedStage(stage, self.stages[stage]) for stage in SelfTestStage if stage in self.stages]

    @property
    def stopped_at(self) -> SelfTestStage | None:
        """The stage that failed, or `None`."""
        return SelfTestStage(self.failed_stage) if self.failed_stage else None
