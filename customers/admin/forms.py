"""Forms of the subscription pages. Dates are days in the customer's time zone; each form reads the clock once."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from catalog.models import Plan
from catalog.models.plans import PlanState
from config.office.dialogs import ReasonForm
from config.refusals import Refused
from customers import subscriptions
from customers.models import Customer, Subscription
from customers.periods import local_date, local_midnight

NOW, PERIOD_END, DATE = "now", "period_end", "date"
MOMENTS = [(NOW, "Now"), (PERIOD_END, "When the current period ends"), (DATE, "On a date")]


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's date picker. Unfold's date picker doesn't work in dialogs, which are loaded later."""

    input_type = "date"

    def format_value(self, value: Any) -> str:
        return value.isoformat() if hasattr(value, "isoformat") else str(value or "")


def active_plans() -> Any:
    """Return the plans that can be sold, in the order of the plan list."""
    return Plan.objects.filter(state=PlanState.ACTIVE).order_by("display_order", "name")


class ChangeForm(ReasonForm):
    """Ask for a change and its reason. Billing sets `form_before_template` to show the effect on invoices."""

    change: str  # the name of the change in the address of the page that calculates the effect

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = timezone.now()

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"object_id": object_id, "change": self.change}

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        """Apply the change in the form. Raises what the function of the change raises."""
        raise NotImplementedError


class MomentForm(ChangeForm):
    """Ask when the change happens, and for a reason."""

    when = forms.ChoiceField(choices=MOMENTS, initial=NOW, widget=UnfoldAdminRadioSelectWidget(choices=MOMENTS))
    day = forms.DateField(
        label="Date",
        required=False,
        widget=DayInput(),
        help_text="Only for “On a date”: from the start of that day in the customer's time zone.",
    )
    field_order = ("plan", "when", "day", "reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("when") == DATE and not cleaned.get("day") and "day" not in self.errors:
            self.add_error("day", "Enter a date.")
        return cleaned

    def moment(self, subscription: Subscription) -> datetime:
        """Return the chosen time."""
        if self.cleaned_data["when"] == PERIOD_END:
            return subscriptions.get_period_end(subscription, self.now)
        if self.cleaned_data["when"] == DATE:
            return local_midnight(self.cleaned_data["day"], subscription.timezone)
        return self.now


class ChangePlanForm(MomentForm):
    """Ask for the plan to move to."""

    change = "plan"
    plan = forms.ModelChoiceField(queryset=Plan.objects.none(), widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plan: Any = self.fields["plan"]
        plan.queryset = active_plans()
        plan.help_text = "The latest version is used. Choose the current plan to move to its latest version."

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        plan, at = self.cleaned_data["plan"], self.moment(subscription)
        subscriptions.change_plan(subscription, plan, at=at, now=now, by=by, reason=reason)


class CancelForm(MomentForm):
    """Ask when the subscription ends. The end of the period is the usual choice."""

    change = "cancel"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["when"].initial = PERIOD_END

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        if self.cleaned_data["when"] == PERIOD_END:
            subscriptions.cancel_at_period_end(subscription, now=now, by=by, reason=reason)
        else:
            subscriptions.cancel(subscription, at=self.moment(subscription), now=now, by=by, reason=reason)


class PauseForm(ChangeForm):
    """Ask until when to pause, and for a reason."""

    change = "pause"
    last_day = forms.DateField(
        label="Resume on",
        required=False,
        widget=DayInput(),
        help_text="Leave blank to pause until you resume it. The day starts in the customer's time zone.",
    )
    field_order = ("last_day", "reason")

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        subscriptions.pause(subscription, at=now, until=self.until(subscription), now=now, by=by, reason=reason)

    def until(self, subscription: Subscription) -> datetime | None:
        """Return when the pause ends, or `None` if it is open-ended."""
        day = self.cleaned_data["last_day"]
        return local_midnight(day, subscription.timezone) if day else None


class ResumeForm(ChangeForm):
    """Ask for a reason to resume."""

    change = "resume"

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        subscriptions.resume(subscription, at=now, now=now, by=by, reason=reason)


class WithdrawForm(ChangeForm):
    """Ask for a reason to withdraw scheduled changes."""

    change = "withdraw"

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        subscriptions.withdraw_scheduled_change(subscription, now=now, by=by, reason=reason)


class SubscribeForm(forms.ModelForm):
    """Subscribe a customer. Shows every error before anything is saved."""

    staff: User

    plan = forms.ModelChoiceField(
        queryset=Plan.objects.none(),
        widget=UnfoldAdminSelectWidget(),
        help_text="The latest version is used. A draft that isn't on hold is published.",
    )
    starts_on = forms.DateField(
        label="Starts on",
        widget=UnfoldAdminDateWidget(),
        help_text="From the start of that day in the customer's time zone.",
    )
    ends_on = forms.DateField(
        label="Ends on",
        required=False,
        widget=UnfoldAdminDateWidget(),
        help_text="The first day without service. Leave blank for an open-ended subscription.",
    )
    anchor_on = forms.DateField(
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
            data["plan"],
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
