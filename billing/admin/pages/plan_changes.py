"""Preview of how a subscription change affects the next invoice, shown in the dialog that makes the change."""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from billing.invoicing.previews import ChangePreview, preview_change
from billing.wording import dates
from config.office.dialogs import refusal_text
from config.office.pages import AdminView
from config.refusals import Refused
from customers.admin.subscriptions.change_forms import (
    AddAddonForm,
    CancelForm,
    ChangeForm,
    ChangePlanForm,
    PauseForm,
    RemoveAddonForm,
    ResumeForm,
    WithdrawForm,
)
from customers.admin.subscriptions.commitment_forms import CommitmentForm, EndCommitmentForm
from customers.models import Subscription

PERIOD_NAMES = {
    "day": "day",
    "week": "week",
    "month": "month",
    "quarter": "quarter",
    "half_year": "half-year",
    "year": "year",
}
FIELDS_OF_EFFECT = {"plan", "addon", "agreed_amount", "attachment", "until", "when", "day", "last_day", "scheduled"}
FORMS: dict[str, type[ChangeForm]] = {
    form.change: form
    for form in (
        *(ChangePlanForm, AddAddonForm, RemoveAddonForm, CancelForm, PauseForm, ResumeForm, WithdrawForm),
        *(CommitmentForm, EndCommitmentForm),
    )
}
for _form in FORMS.values():
    _form.form_before_template = "admin/billing/change/ask.html"


class ChangeEffect(AdminView):
    """Show how the change in the form would affect the next invoice."""

    template_name = "admin/billing/change/effect.html"
    http_method_names = ("post",)

    def has_permission(self) -> bool:
        return super().has_permission() and self.request.user.has_perm("customers.change_subscription")

    def post(self, request: HttpRequest, change: str, subscription_id: int) -> HttpResponse:
        if change not in FORMS:
            raise Http404
        subscription = get_object_or_404(Subscription, pk=subscription_id)
        form = FORMS[change](request, subscription_id, data=request.POST)
        form.is_valid()  # The reason may still be missing.
        is_complete = not set(form.errors) - {"reason", "_form_submitted"}
        context: dict[str, Any] = {"subscription": subscription, "change": change, "is_asked": is_complete}
        if is_complete:
            try:
                effect = preview_change(
                    subscription,
                    lambda: form.apply(subscription, now=form.now, by=None, reason="Preview"),
                    now=form.now,
                )
                context |= {"effect": effect, "period": describe_period(subscription, effect)}
            except (Refused, ValidationError) as refusal:
                context["problem"] = refusal_text(refusal)
        return self.render(**context)


def describe_period(subscription: Subscription, effect: ChangePreview) -> dict[str, str] | None:
    """Return the words for the whole period that a preview compares: "month", and its dates."""
    if effect.period_before is None or effect.period_after is None:
        return None
    name = PERIOD_NAMES[subscription.interval] if subscription.interval_count == 1 else "period"
    return {"name": name, "dates": dates(effect.period_before.period, subscription.timezone)}
