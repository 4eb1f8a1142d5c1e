"""Forms of a subscription's commitment: what the customer commits to spend on usage, and the end of that."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.models import User
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminIntegerFieldWidget, UnfoldAdminRadioSelectWidget

from config.inputs import NumberField
from customers import subscriptions
from customers.admin.subscriptions.change_forms import ChangeForm
from customers.kinds import CommitmentKind
from customers.models import Subscription
from customers.subscriptions import CommitmentTerms

CURRENT, NEXT = "current", "next"
STARTS = [(CURRENT, "With the current billing period"), (NEXT, "With the next billing period")]


class CommitmentForm(ChangeForm):
    """Ask what is committed in every term, and from when on."""

    change = "commitment"
    amount = NumberField(
        label="Amount per term",
        min_value=Decimal("0.0001"),
        max_digits=24,
        decimal_places=4,
        widget=UnfoldAdminDecimalFieldWidget(),
        help_text="For usage, before taxes, in the subscription's currency.",
    )
    kind = forms.TypedChoiceField(
        label="Commitment",
        choices=CommitmentKind.choices,
        coerce=CommitmentKind,
        initial=CommitmentKind.MINIMUM,
        widget=UnfoldAdminRadioSelectWidget(choices=CommitmentKind.choices),
    )
    periods = forms.IntegerField(
        label="Billing periods per term",
        min_value=1,
        max_value=1000,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="12 for a year that is billed monthly.",
    )
    overage_factor = NumberField(
        label="Overage factor",
        min_value=Decimal("0.000001"),
        max_digits=12,
        decimal_places=6,
        initial=1,
        widget=UnfoldAdminDecimalFieldWidget(),
        help_text="Usage above the amount costs its price times this number. 1 is the price.",
    )
    starts = forms.ChoiceField(
        label="Starts", choices=STARTS, initial=CURRENT, widget=UnfoldAdminRadioSelectWidget(choices=STARTS)
    )
    field_order = ("amount", "kind", "periods", "overage_factor", "starts", "reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("kind") == CommitmentKind.THRESHOLD and cleaned.get("overage_factor") == 1:
            self.add_error("overage_factor", "A threshold needs another factor than 1, or else it charges nothing.")
        return cleaned

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        data = self.cleaned_data
        period = subscriptions.get_billing_period(subscription, now)
        subscriptions.agree_commitment(
            subscription,
            CommitmentTerms(data["amount"], data["kind"], data["periods"], data["overage_factor"]),
            starts_at=period.start if data["starts"] == CURRENT else period.end,
            now=now,
            by=by,
            reason=reason,
        )


class EndCommitmentForm(ChangeForm):
    """Ask for a reason to end the commitment with the current billing period."""

    change = "end_commitment"

    def apply(self, subscription: Subscription, *, now: datetime, by: User | None, reason: str) -> None:
        commitment = subscriptions.get_commitments(subscription.pk).filter(ends_at=None).first()
        if commitment is None:
            raise subscriptions.NothingScheduled("The subscription has no commitment to end.")
        at = subscriptions.get_billing_period(subscription, now).end
        if commitment.starts_at >= at:
            at = commitment.starts_at  # it hasn't started, so it is withdrawn
        subscriptions.end_commitment(commitment, at=at, now=now, by=by, reason=reason)
