"""The dialog that starts a simulation."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.models import Coupon, SimulatedSelection
from billing.models.simulations import MOST_PERIODS
from billing.simulation.running import SimulationInputs
from catalog.models import Plan, PlanVersion
from catalog.models.plans import PlanState, VersionState
from config.inputs import NumberField

PRESENT, OF_VERSION = "present", "own"
MOST_OFFERED = 200


class SimulationForm(BaseDialogForm):
    """Ask for what to simulate, for which subscriptions, and for how many periods."""

    what = forms.ChoiceField(
        label="Simulate",
        widget=UnfoldAdminSelectWidget,
        help_text="Present prices show how far the calculation agrees with the invoices.",
    )
    selection = forms.ChoiceField(
        label="For", widget=UnfoldAdminSelectWidget, help_text="Only live subscriptions count."
    )
    segment = forms.CharField(
        label="Customer metadata",
        required=False,
        max_length=500,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "tier=gold"}),
        help_text="Only for “Customers with a metadata value”: a key and its value.",
    )
    listed = forms.CharField(
        label="Subscription IDs",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="Only for “A list of subscriptions”: separated by spaces, commas or new lines.",
    )
    periods = forms.IntegerField(
        min_value=1,
        max_value=MOST_PERIODS,
        initial=3,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "number"}),
        help_text="The last invoiced periods of each subscription, all calculated again.",
    )
    limit_percent = NumberField(
        label="Mark changes above (%)",
        required=False,
        max_digits=7,
        decimal_places=2,
        min_value=Decimal(0),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="Leave blank to mark none.",
    )
    replaces_agreed = forms.BooleanField(
        label="Replace agreed terms",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="If off, subscriptions with agreed terms keep them, as they do when a version is published.",
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["what"].choices = _what_choices()
        self.fields["selection"].choices = _subscription_choices()
        version = request.GET.get("version", "")
        self.fields["what"].initial = f"version:{version}" if version.isdecimal() else None

    def clean_segment(self) -> tuple[str, str] | None:
        text = self.cleaned_data["segment"]
        if self.cleaned_data.get("selection") != SimulatedSelection.SEGMENT:
            return None
        key, sign, value = (part.strip() for part in text.partition("="))
        if not (key and sign and value):
            raise forms.ValidationError("Enter a key and its value, such as tier=gold.")
        return key, value

    def clean_listed(self) -> list[str]:
        if self.cleaned_data.get("selection") != SimulatedSelection.LIST:
            return []
        names = [name for name in re.split(r"[\s,;]+", self.cleaned_data["listed"]) if name]
        if not names:
            raise forms.ValidationError("Enter at least one subscription ID, such as subs_….")
        return names

    def inputs(self) -> SimulationInputs:
        """Return what the form asks for."""
        data = self.cleaned_data
        kind, _, key = data["what"].partition(":")
        version = PlanVersion.objects.select_related("plan").get(pk=key) if kind == "version" else None
        selection, _, plan_id = data["selection"].partition(":")
        plan = Plan.objects.get(pk=plan_id) if plan_id else None
        if selection == OF_VERSION and version is not None:
            plan = version.plan
        return SimulationInputs(
            version=version,
            coupon=Coupon.objects.get(pk=key) if kind == "coupon" else None,
            replaces_agreed=data["replaces_agreed"],
            plan=plan,
            segment=data["segment"],
            listed=data["listed"],
            periods=data["periods"],
            limit_percent=data["limit_percent"],
        )


def _what_choices() -> list[tuple[str, Any]]:
    versions = PlanVersion.objects.filter(plan__in=Plan.objects.all(), plan__state=PlanState.ACTIVE)
    rows = versions.select_related("plan").order_by("plan__name", "-number")[:MOST_OFFERED]
    drafts = [(f"version:{row.pk}", str(row)) for row in rows if row.state == VersionState.DRAFT]
    published = [(f"version:{row.pk}", str(row)) for row in rows if row.state == VersionState.PUBLISHED]
    coupons = Coupon.objects.filter(archived_at=None).order_by("code")[:MOST_OFFERED]
    discounts = [(f"coupon:{coupon.pk}", str(coupon)) for coupon in coupons]
    groups = [("Drafts", drafts), ("Published versions", published), ("Discounts", discounts)]
    return [*((name, rows) for name, rows in groups if rows), (PRESENT, "Present prices")]


def _subscription_choices() -> list[tuple[str, str]]:
    plans = Plan.objects.order_by("name").values_list("pk", "name")[:MOST_OFFERED]
    return [
        (OF_VERSION, "Subscriptions of the version's plan"),
        (SimulatedSelection.ALL.value, SimulatedSelection.ALL.label),
        (SimulatedSelection.SEGMENT.value, SimulatedSelection.SEGMENT.label),
        (SimulatedSelection.LIST.value, SimulatedSelection.LIST.label),
        *((f"plan:{pk}", f"Subscriptions of {name}") for pk, name in plans),
    ]
