"""Dialogs that start a billing run or a dry run."""

from datetime import datetime
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from billing.admin.shared import format_totals
from billing.runs import report
from billing.runs.dry_run import FARTHEST


class StartForm(BaseDialogForm):
    """Show what a run would do before it starts."""

    form_before_template = "admin/billing/billingrun/start.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        outlook = report.outlook(now=timezone.now())
        return {"outlook": outlook, "money": format_totals(outlook.tally.amounts.items()) if outlook.tally else ""}


class DryRunForm(BaseDialogForm):
    """Ask for the time that a dry run previews."""

    as_of = forms.DateTimeField(
        label="As of (UTC)",
        initial=lambda: f"{timezone.now():%Y-%m-%dT%H:%M}",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text="Includes everything due by this time, up to a year ahead. Future usage isn't estimated.",
    )

    def clean_as_of(self) -> datetime:
        as_of: datetime = self.cleaned_data["as_of"]
        if as_of > timezone.now() + FARTHEST:
            raise forms.ValidationError("Choose a time at most a year ahead.")
        return as_of
