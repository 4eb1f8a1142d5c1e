"""Number series for invoices and credit notes, without gaps."""

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

NO_DIGIT_LAST = RegexValidator(r"\D\Z", "The prefix can't end with a digit. Add a hyphen, for example.")


class SeriesUse(models.TextChoices):
    INVOICE = "invoice", "Invoices"
    CREDIT_NOTE = "credit_note", "Credit notes"


class NumberSeries(models.Model):
    """A gapless sequence of numbers. Finalizing locks the row, so that no number is used twice or skipped."""

    name = models.CharField(max_length=32, unique=True)
    used_for = models.CharField(
        max_length=16, choices=SeriesUse, default=SeriesUse.INVOICE, db_default=SeriesUse.INVOICE
    )
    prefix = models.CharField(
        max_length=32,
        unique=True,
        validators=[NO_DIGIT_LAST],
        help_text="Precedes the number, for example INV-. It can't be changed once a number has been used.",
    )
    width = models.PositiveSmallIntegerField(default=6, help_text="Number of digits, padded with zeros.")
    next_number = models.PositiveBigIntegerField(default=1, editable=False)
    is_default = models.BooleanField(
        "default",
        default=False,
        db_default=False,
        help_text="Used unless another series is selected.",
    )

    class Meta:
        ordering: ClassVar = ["used_for", "name"]
        verbose_name_plural = "number series"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["used_for"], name="number_series_one_default", condition=Q(is_default=True)
            ),
            models.CheckConstraint(name="number_series_prefix_ends", condition=Q(prefix__regex="[^0-9]$")),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(
                name="number_series_never_back",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__next_number__lt=pgtrigger.F("old__next_number")),
            ),
            pgtrigger.Protect(
                name="number_series_keeps_prefix",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.next_number > 1 AND (NEW.prefix <> OLD.prefix OR NEW.used_for <> OLD.used_for)"
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def number(self) -> str:
        """Format the next number."""
        return f"{self.prefix}{self.next_number:0{self.width}d}"

    def draw(self) -> str:
        """Take the next number. The row must be locked, and saved in the same transaction."""
        number = self.number()
        self.next_number += 1
        return number


auditlog.register(NumberSeries, exclude_fields=["next_number"])
