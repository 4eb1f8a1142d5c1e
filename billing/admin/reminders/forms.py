"""Dialogs of reminders: pause them, and choose a customer's schedule."""

from typing import Any, cast

from django import forms
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from billing.models import PauseKind, ReminderAssignment, ReminderSchedule
from config.inputs import DayField
from config.office.dialogs import DayInput
from customers.models import Customer


class PauseForm(BaseDialogForm):
    """Ask why reminders are paused, and until when the customer promised to pay."""

    kind = forms.ChoiceField(label="Why", choices=PauseKind.choices, widget=UnfoldAdminSelectWidget)
    promised_on = DayField(
        label="Promised payment date",
        required=False,
        widget=DayInput(),
        help_text="For a promise to pay. If it isn't kept, reminders go on the day after.",
    )
    reason = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="Recorded with your name and the time.",
    )

    def read(self) -> dict[str, Any]:
        """Return the arguments for `pause_reminders`."""
        return {
            "kind": PauseKind(self.cleaned_data["kind"]),
            "promised_on": self.cleaned_data["promised_on"],
            "reason": self.cleaned_data["reason"],
        }


class ScheduleForm(BaseDialogForm):
    """Ask for a customer's schedule. The current one is chosen."""

    schedule = forms.ModelChoiceField(
        queryset=ReminderSchedule.objects.all(),
        required=False,
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, request: HttpRequest, object_id: int | str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        customer = get_object_or_404(Customer, pk=object_id)
        default = ReminderSchedule.objects.filter(is_default=True).first()
        field = cast(forms.ModelChoiceField, self.fields["schedule"])
        field.empty_label = f"Default ({default})" if default else "Default (there is none: no reminders)"
        assignment = ReminderAssignment.objects.filter(customer=customer).first()
        field.initial = assignment.schedule_id if assignment else None
