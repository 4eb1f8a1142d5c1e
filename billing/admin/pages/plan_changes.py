"""Preview of how a subscription change affects the next invoice, shown in the dialog that makes the change."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from billing.invoicing.previews import preview_change
from config.office.pages import AdminView
from config.refusals import Refused
from customers.admin.forms import CancelForm, ChangeForm, ChangePlanForm, PauseForm, ResumeForm, WithdrawForm
from customers.models import Subscription

FORMS: dict[str, type[ChangeForm]] = {
    form.change: form for form in (ChangePlanForm, CancelForm, PauseForm, ResumeForm, WithdrawForm)
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
        is_complete = not {"plan", "when", "day", "last_day"} & set(form.errors)
        context: dict[str, Any] = {"subscription": subscription, "change": change, "is_asked": is_complete}
        if is_complete:
            try:
                context["effect"] = preview_change(
                    subscription,
                    lambda: form.apply(subscription, now=form.now, by=None, reason="Preview"),
                    now=form.now,
                )
            except Refused as refusal:
                context["problem"] = str(refusal)
        return self.render(**context)
