"""What a change of a subscription would do to the next invoice, in the dialog that asks for it."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path

from billing.invoicing.previews import preview_change
from config.refusals import Refused
from customers.admin.forms import CancelForm, ChangeForm, ChangePlanForm, PauseForm, ResumeForm, WithdrawForm
from customers.models import Subscription

if TYPE_CHECKING:
    from billing.admin.invoices import InvoiceAdmin

FORMS: dict[str, type[ChangeForm]] = {
    form.change: form for form in (ChangePlanForm, CancelForm, PauseForm, ResumeForm, WithdrawForm)
}
for _form in FORMS.values():
    _form.form_before_template = "admin/billing/change/ask.html"


def urls(page: "InvoiceAdmin") -> list[URLPattern]:
    """List the address that the dialogs ask, under the invoice list's."""

    def effect_view(request: HttpRequest, change: str, subscription_id: int) -> HttpResponse:
        return change_effect(page, request, change, subscription_id)

    view = page.admin_site.admin_view(effect_view)
    return [path("change-effect/<slug:change>/<int:subscription_id>/", view, name="billing_change_effect")]


def change_effect(page: "InvoiceAdmin", request: HttpRequest, change: str, subscription_id: int) -> HttpResponse:
    """Say what a change as it is filled in would do to the next invoice. For staff who may change subscriptions."""
    if not page.has_view_permission(request) or not request.user.has_perm("customers.change_subscription"):
        raise PermissionDenied
    if change not in FORMS:
        raise Http404
    subscription = get_object_or_404(Subscription, pk=subscription_id)
    form = FORMS[change](request, subscription_id, data=request.POST)
    form.is_valid()  # the reason may still be missing
    is_asked = not {"plan", "when", "day", "last_day"} & set(form.errors)
    context: dict[str, Any] = {"subscription": subscription, "change": change, "is_asked": is_asked}
    if is_asked:
        try:
            context["effect"] = preview_change(
                subscription, lambda: form.apply(subscription, now=form.now, by=None, reason="Preview"), now=form.now
            )
        except Refused as refused:
            context["problem"] = str(refused)
    return render(request, "admin/billing/change/effect.html", context)
