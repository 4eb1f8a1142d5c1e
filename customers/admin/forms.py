"""The questions of the subscription pages. Dates are days in the customer's time zone; the clock is read once, here."""

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
from config.office.base import ReasonForm
from config.refusals import Refused
from customers import subscriptions
from customers.models import Customer, Subscription
from customers.periods import local_date, local_midnight

NOW, PERIOD_END, DATE = "now", "period_end", "date"
MOMENTS = [(NOW, "Now"), (PERIOD_END, "When the current period ends"), (DATE, "On a date")]


class DayInput(UnfoldAdminTextInputWidget):
    """The browser's own date picker: a dialog that is loaded later has no other."""

    input_type = "date"

    def format_value(self, value: Any) -> str:
        return value.isoformat() if hasattr(value, "isoformat") else str(value or "")


def active_plans() -> Any:
    """Return the plans that can be sold, in the order of the plan list."""
    return Plan.objects.filter(state=PlanState.ACTIVE).order_by("display_order", "name")


class ChangeForm(ReasonForm):
    """Ask for a change, and why. `form_before_template` is billing's: it says there what the change does in money."""

    change: str  # how the page that works out the effect knows it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = timezone.now()

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"object_id": object_id, "change": self.change}

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        """Make the change as it was filled in. Raises what the change raises."""
        raise NotImplementedError


class MomentForm(ChangeForm):
    """Ask when something happens, and why."""

    when = forms.ChoiceField(choices=MOMENTS, initial=NOW, widget=UnfoldAdminRadioSelectWidget(choices=MOMENTS))
    day = forms.DateField(
        label="Date",
        required=False,
        widget=DayInput(),
        help_text="Only for “On a date”: from the beginning of that day, where the customer is.",
    )
    field_order = ("plan", "when", "day", "reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("when") == DATE and not cleaned.get("day") and "day" not in self.errors:
            self.add_error("day", "Say which day.")
        return cleaned

    def moment(self, subscription: Subscription) -> datetime:
        """Return the moment that was chosen."""
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
        plan.help_text = "Its newest version. Choose the present plan to move to its newest version."

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
    """Ask how long, and why."""

    change = "pause"
    last_day = forms.DateField(
        label="Resume on",
        required=False,
        widget=DayInput(),
        help_text="Empty: until you resume it. Else at the beginning of that day, where the customer is.",
    )
    field_order = ("last_day", "reason")

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        subscriptions.pause(subscription, at=now, until=self.until(subscription), now=now, by=by, reason=reason)

    def until(self, subscription: Subscription) -> datetime | None:
        """Return when the pause ends, None for open."""
        day = self.cleaned_data["last_day"]
        return local_midnight(day, subscription.timezone) if day else None


class ResumeForm(ChangeForm):
    """Ask why."""

    change = "resume"

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        subscriptions.resume(subscription, at=now, now=now, by=by, reason=reason)


class WithdrawForm(ChangeForm):
    """Ask why."""

    change = "withdraw"

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        subscriptions.withdraw_scheduled_change(subscription, now=now, by=by, reason=reason)


class SubscribeForm(forms.ModelForm):
    """Subscribe a customer. Everything that would refuse it is found, and said, before anything is written."""

    staff: User

    plan = forms.ModelChoiceField(
        queryset=Plan.objects.none(),
        widget=UnfoldAdminSelectWidget(),
        help_text="Its newest version; a draft that isn't held back is published by this.",
    )
    starts_on = forms.DateField(
        label="Starts on",
        widget=UnfoldAdminDateWidget(),
        help_text="From the beginning of that day, where the customer is.",
    )
    ends_on = forms.DateField(
        label="Ends on",
        required=False,
        widget=UnfoldAdminDateWidget(),
        help_text="The first day without service. Empty: open.",
    )
    anchor_on = forms.DateField(
        label="Periods count from",
        required=False,
        widget=UnfoldAdminDateWidget(),
        help_text="Empty: from the start, or from the end of the trial.",
    )
    trial_days = forms.IntegerField(
        min_value=0,
        required=False,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Empty: as the plan says. 0: none.",
    )
    currency = forms.CharField(
        max_length=3,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Empty: the customer's.",
    )
    reason = forms.CharField(
        max_length=255,
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="For example the order; goes into the history.",
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
            self._try_out()
        return cleaned

    def _post_clean(self) -> None:
        """Leave the instance alone: `subscribe` makes and validates it."""

    def _try_out(self) -> None:
        """Subscribe in a savepoint that is undone, to learn what would be refused."""
        try:
            with transaction.atomic():
                self.subscribe(now=timezone.now())
                transaction.set_rollback(True)
        except Refused as refusal:
            raise ValidationError(str(refusal)) from refusal
        except ValidationError as refusal:
            raise ValidationError(refusal.messages) from refusal  # some name fields that this form hasn't

    def subscribe(self, *, now: datetime) -> Subscription:
        """Make the subscription that the form describes. Raises what `customers.subscriptions.subscribe` does."""
        given = self.cleaned_data
        customer: Customer = given["customer"]

        def midnight(name: str) -> datetime | None:
            return local_midnight(given[name], customer.timezone) if given[name] else None

        starts_at = midnight("starts_on")
        if starts_at is None:
            raise ValidationError({"starts_on": "Say when it starts."})
        return subscriptions.subscribe(
            customer,
            given["plan"],
            currency=(given["currency"] or customer.billing_currency).upper(),
            interval=given["interval"],
            interval_count=given["interval_count"],
            alignment=given["alignment"],
            starts_at=starts_at,
            anchor=midnight("anchor_on"),
            trial_days=given["trial_days"],
            ends_at=midnight("ends_on"),
            prorate=given["prorate"],
            key=given["key"] or None,
            net_days=given["net_days"],
            now=now,
            by=self.staff,
            reason=given["reason"],
        )
