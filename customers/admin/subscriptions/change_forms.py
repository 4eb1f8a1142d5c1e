"""Forms of changes to a subscription. Dates are days in the customer's time zone; each form reads the clock once."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
)

from catalog.agreed import PriceEdit
from catalog.models import Addon, Plan, PlanVersion
from catalog.models.plans import PlanState
from catalog.models.prices import PriceKind
from catalog.publishing import get_newest_published
from catalog.selectors import Terms, prices_on_terms
from config.inputs import DayField, NumberField
from config.office.dialogs import DayInput, ReasonForm
from config.office.wording import local_day
from config.refusals import Refused
from customers import subscriptions
from customers.kinds import ChangeInvoicing
from customers.models import Subscription, SubscriptionAddon
from customers.periods import local_midnight

NOW, PERIOD_END, DATE = "now", "period_end", "date"
MOMENTS = [(NOW, "Now"), (PERIOD_END, "When the current period ends"), (DATE, "On a date")]


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
    day = DayField(
        label="Date",
        required=False,
        widget=DayInput(),
        help_text="Only for “On a date”: from the start of that day in the customer's time zone.",
    )
    field_order: tuple[str, ...] = ("plan", "when", "day", "invoicing", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["when"].help_text = "During a trial, the current period ends with the trial."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("when") == DATE and not cleaned.get("day") and "day" not in self.errors:
            self.add_error("day", "Enter a date.")
        return cleaned

    def moment(self, subscription: Subscription) -> datetime:
        """Return the chosen time. In a trial, the current period ends with the trial."""
        if self.cleaned_data["when"] == PERIOD_END:
            return subscriptions.get_period_end(subscription, self.now)
        if self.cleaned_data["when"] == DATE:
            return local_midnight(self.cleaned_data["day"], subscription.timezone)
        return self.now


class ChangePlanForm(MomentForm):
    """Ask for the plan to move to."""

    change = "plan"
    plan = forms.ModelChoiceField(
        queryset=Plan.objects.none(), empty_label="Choose a plan", widget=UnfoldAdminSelectWidget()
    )
    invoicing = forms.TypedChoiceField(
        label="Invoice the difference",
        choices=ChangeInvoicing.choices,
        coerce=ChangeInvoicing,
        required=False,
        initial=ChangeInvoicing.IMMEDIATE,
        empty_value=ChangeInvoicing.IMMEDIATE,
        widget=UnfoldAdminRadioSelectWidget(choices=ChangeInvoicing.choices),
        help_text="Of fees in advance, when the change takes effect. Usage stays on the invoice of its period.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plan: Any = self.fields["plan"]
        plan.queryset = active_plans()
        plan.help_text = "The latest version is used. Choose the current plan to move to its latest version."

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        plan, at = self.cleaned_data["plan"], self.moment(subscription)
        invoicing, version = self.cleaned_data["invoicing"], get_newest_published(plan)
        subscriptions.change_plan(subscription, version, at=at, now=now, by=by, reason=reason, invoicing=invoicing)


class AddAddonForm(MomentForm):
    """Ask for the add-on, and from when and until when the subscription has it."""

    change = "add-addon"
    addon = forms.ModelChoiceField(
        label="Add-on", queryset=Addon.objects.none(), empty_label="Choose an add-on", widget=UnfoldAdminSelectWidget()
    )
    until = DayField(required=False, widget=DayInput(), help_text="Leave blank for no end. The day isn't included.")
    invoicing = forms.TypedChoiceField(
        label="Invoice its fees",
        choices=ChangeInvoicing.choices,
        coerce=ChangeInvoicing,
        required=False,
        initial=ChangeInvoicing.IMMEDIATE,
        empty_value=ChangeInvoicing.IMMEDIATE,
        widget=UnfoldAdminRadioSelectWidget(choices=ChangeInvoicing.choices),
        help_text="Of the rest of the billing period, when the add-on starts.",
    )
    agreed_amount = NumberField(
        label="Agreed fee",
        required=False,
        min_value=Decimal(0),
        max_digits=30,
        decimal_places=12,
        widget=UnfoldAdminDecimalFieldWidget(),
        help_text="Instead of the add-on's fee, for this subscription. Leave blank for its list price.",
    )
    field_order = ("addon", "agreed_amount", "when", "day", "until", "invoicing", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        addon: Any = self.fields["addon"]
        addon.queryset = Addon.objects.filter(state=PlanState.ACTIVE).order_by("display_order", "name")
        addon.help_text = "Its latest version is used. Add it again to have it several times."

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        until = self.cleaned_data["until"]
        version = get_newest_published(self.cleaned_data["addon"])
        subscriptions.add_addon(
            subscription,
            version,
            at=max(self.moment(subscription), subscription.started_at),
            until=local_midnight(until, subscription.timezone) if until else None,
            now=now,
            by=by,
            reason=reason,
            invoicing=self.cleaned_data["invoicing"],
            edits=self._edits(subscription, version),
        )

    def _edits(self, subscription: Subscription, version: PlanVersion) -> list[PriceEdit]:
        """Return the agreed fee instead of the add-on's own. Raises Refused unless the add-on has one fee."""
        amount = self.cleaned_data["agreed_amount"]
        if amount is None:
            return []
        terms = Terms(subscription.currency, subscription.interval, subscription.interval_count)
        fees = list(prices_on_terms(version, terms).filter(kind=PriceKind.FIXED))
        if len(fees) != 1:
            raise Refused(f"{version.plan} has {len(fees)} fees. An agreed fee needs an add-on with one fee.")
        return [PriceEdit(fees[0], {"unit_amount": amount})]


class RemoveAddonForm(MomentForm):
    """Ask which of the subscription's add-ons to remove."""

    change = "remove-addon"
    attachment = forms.ModelChoiceField(
        label="Add-on",
        queryset=SubscriptionAddon.objects.none(),
        empty_label="Choose an add-on",
        widget=UnfoldAdminSelectWidget(),
        help_text="Its fees in advance are credited by the day on the next invoice.",
    )
    field_order = ("attachment", "when", "day", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        attachment: Any = self.fields["attachment"]
        attachment.queryset = removable_addons(self.object_id, self.now)
        attachment.label_from_instance = _name_addon
        self.fields["when"].initial = PERIOD_END

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        row = self.cleaned_data["attachment"]
        subscriptions.remove_addon(row, at=self.moment(subscription), now=now, by=by, reason=reason)
        subscription.refresh_from_db()


def removable_addons(subscription_id: Any, now: datetime) -> QuerySet[SubscriptionAddon]:
    """Return the add-ons that a subscription has or will have."""
    rows = SubscriptionAddon.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), subscription=subscription_id)
    return rows.exclude(ends_at=F("starts_at")).select_related("version__plan", "subscription__customer")


def _name_addon(row: SubscriptionAddon) -> str:
    return f"{row.version.plan}, since {local_day(row.starts_at, row.subscription.timezone)}"


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


class PauseForm(MomentForm):
    """Ask from when and until when to pause, and for a reason."""

    change = "pause"
    last_day = DayField(
        label="Resume on",
        required=False,
        widget=DayInput(),
        help_text="Leave blank to pause until you resume it. The day starts in the customer's time zone.",
    )
    field_order = ("when", "day", "last_day", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["when"].required = False

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        at, until = self.moment(subscription), self.until(subscription)
        subscriptions.pause(subscription, at=at, until=until, now=now, by=by, reason=reason)

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
    """Ask which scheduled change to withdraw, and for a reason."""

    change = "withdraw"
    scheduled = forms.ChoiceField(label="Withdraw", required=False, widget=UnfoldAdminSelectWidget())
    field_order = ("scheduled", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        subscription = Subscription.objects.get(pk=self.object_id)
        phases = list(subscriptions.get_phases(subscription))
        changes = subscriptions.list_scheduled_changes(subscription, phases, self.now)
        self.changes = {f"{change.kind}:{change.at.isoformat()}": change for change in changes}
        field: Any = self.fields["scheduled"]
        field.choices = [("", "Everything that is scheduled")] + [
            (key, f"{change.kind.label} on {local_day(change.at, subscription.timezone)}")
            for key, change in self.changes.items()
        ]

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        only = self.changes.get(self.cleaned_data["scheduled"])
        subscriptions.withdraw_scheduled_change(subscription, only=only, now=now, by=by, reason=reason)
