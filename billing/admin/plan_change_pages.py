"""What a change of plan would do to the next invoice, in the dialog that asks for it."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path

from billing.previewing import Effect, effect_of_plan
from catalog.refusals import Refused
from customers.admin.forms import ChangePlanForm
from customers.models import Subscription

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin

ChangePlanForm.form_before_template = "admin/billing/plan_change/ask.html"


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the address that the dialog asks, under the invoice list's."""

    def effect_view(request: HttpRequest, subscription_id: int) -> HttpResponse:
        return plan_change_effect(page, request, subscription_id)

    view = page.admin_site.admin_view(effect_view)
    return [path("plan-change/<int:subscription_id>/", view, name="billing_plan_change_effect")]


def plan_change_effect(page: "InvoiceAdmin", request: HttpRequest, subscription_id: int) -> HttpResponse:
    """Say what the change as it is filled in would do to the next invoice. For staff who may change subscriptions."""
    if not page.has_view_permission(request) or not request.user.has_perm("customers.change_subscription"):
        raise PermissionDenied
    subscription = get_object_or_404(Subscription, pk=subscription_id)
    form = ChangePlanForm(request, subscription_id, data=request.POST)
    form.is_valid()  # the reason may still be missing
    context: dict[str, Any] = {"subscription": subscription, "is_asked": not {"plan", "when", "day"} & set(form.errors)}
    if context["is_asked"]:
        try:
            context["effect"] = _effect(form, subscription)
        except Refused as refused:
            context["problem"] = str(refused)
    return render(request, "admin/billing/plan_change/effect.html", context)


def _effect(form: ChangePlanForm, subscription: Subscription) -> Effect:
    at = form.moment(subscription)
    plan = form.cleaned_data["plan"]
    return effect_of_plan(subscription, plan, at=at, now=form.now, reason="Preview")
