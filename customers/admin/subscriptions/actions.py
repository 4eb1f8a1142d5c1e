"""The actions of a subscription's page: change plan, pause, resume, withdraw, cancel."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold.enums import ActionVariant

from config.office.dialogs import action, carry_out, staff
from config.office.links import admin_url, page_of
from customers import subscriptions
from customers.admin.subscriptions.change_forms import (
    AddAddonForm,
    CancelForm,
    ChangeForm,
    ChangePlanForm,
    PauseForm,
    RemoveAddonForm,
    ResumeForm,
    WithdrawForm,
    removable_addons,
)
from customers.admin.subscriptions.commitment_forms import CommitmentForm, EndCommitmentForm
from customers.admin.subscriptions.status import RUNNING, status_of
from customers.models import Subscription, SubscriptionStatus


class SubscriptionActions:
    """The actions of a subscription's page, for its admin class."""

    def has_change_plan_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change(request, object_id, *RUNNING)

    def has_agree_terms_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change(request, object_id, *RUNNING)

    def has_agree_commitment_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change(request, object_id, *RUNNING) and not self._has_commitment(object_id)

    def has_end_commitment_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change(request, object_id, *RUNNING) and self._has_commitment(object_id)

    def _has_commitment(self, object_id: Any) -> bool:
        return subscriptions.get_commitments(object_id).filter(ends_at=None).exists()

    def has_remove_addon_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        is_running = self._can_change(request, object_id, *RUNNING)
        return is_running and removable_addons(object_id, timezone.now()).exists()

    def has_pause_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change(request, object_id, SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIALING)

    def has_resume_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change(request, object_id, SubscriptionStatus.PAUSED)

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_change(request, object_id, *RUNNING)

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        if not self._can_change(request, object_id, *RUNNING):
            return False
        subscription = Subscription.objects.get(pk=object_id)
        return subscriptions.has_scheduled_change(subscription, subscriptions.read_chain(subscription), timezone.now())

    def _can_change(self: Any, request: HttpRequest, object_id: Any, *statuses: str) -> bool:
        """Return whether the user can change this subscription and its current status is one of these."""
        if not self.has_change_permission(request):
            return False
        cache: dict[str, str | None] = request.__dict__.setdefault("_subscription_status", {})
        if (key := str(object_id)) not in cache:
            subscription = Subscription.objects.with_current(timezone.now()).filter(pk=object_id).first()
            cache[key] = status_of(subscription)[0] if subscription else None
        return cache[key] in statuses

    @action(
        description="Change plan",
        icon="swap_horiz",
        variant=ActionVariant.PRIMARY,
        permissions=["change_plan"],
        dialog={
            "title": "Change the plan",
            "description": "The new prices apply from then on, and agreed terms end. Trial, pause and end date don't "
            "change. A credit always goes on the next invoice.",
            "form_class": ChangePlanForm,
            "form_submit_text": "Change plan",
        },
    )
    def change_plan(self, request: HttpRequest, form: ChangePlanForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, f"Plan changed to {form.cleaned_data['plan']}.")

    @action(description="Agree terms", icon="handshake", permissions=["agree_terms"])
    def agree_terms(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the page on which prices, quantities and free units are agreed."""
        return HttpResponseRedirect(admin_url("billing_terms", object_id))

    @action(description="Agree phases", icon="stacked_line_chart", permissions=["agree_terms"])
    def agree_phases(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the page on which phases of the terms are entered at once."""
        return HttpResponseRedirect(admin_url("billing_phases", object_id))

    @action(
        description="Agree commitment",
        icon="savings",
        permissions=["agree_commitment"],
        dialog={
            "title": "Agree a commitment",
            "description": "What the customer commits to spend on usage in every term. Recurring fees don't count.",
            "form_class": CommitmentForm,
            "form_submit_text": "Agree",
        },
    )
    def agree_commitment(self, request: HttpRequest, form: CommitmentForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, "The commitment is agreed.")

    @action(
        description="End commitment",
        icon="money_off",
        permissions=["end_commitment"],
        dialog={
            "title": "End the commitment?",
            "description": "It ends with the current billing period. A minimum is prorated to the shortened term. A "
            "prepayment isn't refunded. A commitment that hasn't started is withdrawn.",
            "form_class": EndCommitmentForm,
            "form_submit_text": "End the commitment",
        },
    )
    def end_commitment(self, request: HttpRequest, form: EndCommitmentForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, "The commitment ends with the current billing period.")

    @action(
        description="Add-on",
        icon="add",
        permissions=["change_plan"],
        dialog={
            "title": "Add an add-on",
            "description": "Its fees are prorated by the day. It stays when the plan changes.",
            "form_class": AddAddonForm,
            "form_submit_text": "Add",
        },
    )
    def add_addon(self, request: HttpRequest, form: AddAddonForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, f"{form.cleaned_data['addon']} is added.")

    @action(
        description="Remove add-on",
        icon="extension_off",
        permissions=["remove_addon"],
        dialog={
            "title": "Remove an add-on",
            "description": "The subscription itself continues.",
            "form_class": RemoveAddonForm,
            "form_submit_text": "Remove",
        },
    )
    def remove_addon(self, request: HttpRequest, form: RemoveAddonForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, f"{form.cleaned_data['attachment'].version.plan} is removed.")

    @action(
        description="Pause",
        icon="pause",
        permissions=["pause"],
        dialog={
            "title": "Pause this subscription?",
            "description": "The subscription isn't served or charged until it is resumed.",
            "form_class": PauseForm,
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: PauseForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, "Subscription paused.")

    @action(
        description="Resume",
        icon="play_arrow",
        variant=ActionVariant.SUCCESS,
        permissions=["resume"],
        dialog={
            "title": "Resume this subscription?",
            "description": "The subscription is served and charged again from now on.",
            "form_class": ResumeForm,
            "form_submit_text": "Resume",
        },
    )
    def resume(self, request: HttpRequest, form: ResumeForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, "Subscription resumed.")

    @action(
        description="Withdraw scheduled changes",
        icon="undo",
        permissions=["withdraw"],
        dialog={
            "title": "Withdraw scheduled changes?",
            "description": "The subscription continues without the scheduled cancellation, pause, or change of plan "
            "or terms.",
            "form_class": WithdrawForm,
            "form_submit_text": "Withdraw",
        },
    )
    def withdraw(self, request: HttpRequest, form: WithdrawForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, "Scheduled changes withdrawn.")

    @action(
        description="Cancel",
        icon="cancel",
        variant=ActionVariant.DANGER,
        permissions=["cancel"],
        dialog={
            "title": "Cancel this subscription?",
            "description": "Usage so far is always invoiced. A canceled subscription can't be reopened.",
            "form_class": CancelForm,
            "form_submit_text": "Cancel the subscription",
        },
    )
    def cancel(self, request: HttpRequest, form: CancelForm, object_id: str) -> HttpResponse:
        return self._change(request, object_id, form, "Cancellation recorded.")

    def _change(self, request: HttpRequest, object_id: str, form: ChangeForm, done: str) -> HttpResponse:
        subscription = Subscription.objects.select_related("customer").get(pk=object_id)
        reason = form.cleaned_data["reason"]

        def work() -> None:
            form.apply(subscription, now=form.now, by=staff(request), reason=reason)

        return carry_out(request, work, done=done, then=page_of(subscription))
