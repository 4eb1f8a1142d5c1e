"""The form to subscribe a customer. Dates are days in the customer's time zone."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from catalog.models import Plan
from catalog.publishing import get_newest_published
from config.inputs import DayField
from config.refusals import Refused
from customers import subscriptions
from customers.admin.subscriptions.change_forms import active_plans
from customers.models import Customer, Subscription
from customers.periods import local_date, local_midnight


class SubscribeForm(forms.ModelForm):
    """Subscribe a customer. Shows every error before anything is saved."""

    staff: User

    plan = forms.ModelChoiceField(
        queryset=Plan.objects.none(),
        empty_label="Choose a plan",
        widget=UnfoldAdminSelect2Widget(),
        help_text="The latest published version is used.",
    )
    starts_on = DayField(
        label="Starts on",
        widget=UnfoldAdminDateWidget(),
        help_text="From the start of that day in the customer's time zone.",
    )
    ends_on = DayField(
        label="Ends on",
        required=False,
        widget=UnfoldAdminDateWidget(),
        help_text="The first day without service. Leave blank for an open-ended subscription.",
    )
    anchor_on = DayField(
        label="Periods count from",
        required=False,
        widget=UnfoldAdminDateWidget(),
        help_text="Leave blank to count from the start, or from the end of the trial.",
    )
    trial_days = forms.IntegerField(
        min_value=0,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Leave blank to use the plan's trial. Enter 0 for no trial.",
    )
    currency = forms.CharField(
        max_length=3,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Leave blank to use the customer's currency.",
    )
    reason = forms.CharField(
        max_length=255,
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="For example the order number. Recorded in the history.",
    )

    class Meta:
        model = Subscription
        fields = ("customer", "interval", "interval_count", "alignment", "prorate", "net_days", "key")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plan: Any = self.fields["plan"]
        plan.queryset = active_plans()
        if len(only := plan.queryset[:2]) == 1:
            plan.initial = only[0].pk
        self.fields["starts_on"].initial = lambda: local_date(timezone.now(), "UTC")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            self._check()
        return cleaned

    def _post_clean(self) -> None:
        """Don't touch the instance: `subscribe` creates and validates it."""

    def _check(self) -> None:
        """Subscribe in a savepoint that is rolled back, to show every error."""
        try:
            with transaction.atomic():
                self.subscribe(now=timezone.now())
                transaction.set_rollback(True)
        except Refused as refusal:
            raise ValidationError(str(refusal)) from refusal
        except ValidationError as refusal:
            raise ValidationError(refusal.messages) from refusal  # some name fields that aren't in this form

    def subscribe(self, *, now: datetime) -> Subscription:
        """Create the subscription. Raises what `customers.subscriptions.subscribe` raises."""
        data = self.cleaned_data
        customer: Customer = data["customer"]

        def midnight(name: str) -> datetime | None:
            return local_midnight(data[name], customer.timezone) if data[name] else None

        starts_at = midnight("starts_on")
        if starts_at is None:
            raise ValidationError({"starts_on": "Enter a start date."})
        return subscriptions.subscribe(
            customer,
            get_newest_published(data["plan"]),
            currency=(data["currency"] or customer.billing_currency).upper(),
            interval=data["interval"],
            interval_count=data["interval_count"],
            alignment=data["alignment"],
            starts_at=starts_at,
            anchor=midnight("anchor_on"),
            trial_days=data["trial_days"],
            ends_at=midnight("ends_on"),
            prorate=data["prorate"],
            key=data["key"] or None,
            net_days=data["net_days"],
            now=now,
            by=self.staff,
            reason=data["reason"],
        )
