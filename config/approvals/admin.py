"""Approvals in the admin: the queue, the page of a request with its decisions, and the rules."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Case, IntegerField, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from config.approvals.kinds import ApprovalStatus, RuleMode
from config.approvals.models import Approval, ApprovalRule
from config.approvals.people import Person
from config.approvals.requests import DECIDE, approve, expire_due, is_requester, reject, why_not_decide, withdraw
from config.approvals.rules import Terms, change_rule, install_rules, other_owners, read_limits, write_limits
from config.numbers import money, write_amounts
from config.office.base import OfficeAdmin
from config.office.dialogs import OptionalReasonForm, ReasonForm, action, confirm, open_page, staff
from config.office.links import page_of
from config.office.permissions import NeverChanged, WrittenBySystem
from config.office.wording import moment
from config.signin.confirming import ConfirmedForms

COLORS = {
    ApprovalStatus.REQUESTED: "warning",
    ApprovalStatus.APPROVED: "success",
    ApprovalStatus.REJECTED: "danger",
    ApprovalStatus.FAILED: "danger",
    ApprovalStatus.EXPIRED: "info",
    ApprovalStatus.WITHDRAWN: "info",
}
WAITING_FIRST = Case(
    When(status=ApprovalStatus.REQUESTED, then=Value(0)), default=Value(1), output_field=IntegerField()
)
PEOPLE = ("requested_by", "responsible", "decided_by")
NAMES_SHOWN = 5


@admin.register(Approval)
class ApprovalAdmin(NeverChanged, OfficeAdmin):
    """Requests for approval, those that wait first."""

    change_form_template = "admin/config/approval/change_form.html"
    list_display = (
        "title",
        "show_status",
        "show_amounts",
        "show_requester",
        "show_requested",
        "show_expiry",
        "show_decider",
    )
    list_filter = (("status", ChoicesDropdownFilter), ("operation", ChoicesDropdownFilter))
    list_select_related = PEOPLE
    search_fields = ("title", "public_id", "object_public_id", "requested_key", "requested_by__username")
    search_help_text = "Title, or the ID of the request or its object"
    actions_detail = ("approve_one", "reject_one", "withdraw_one")
    empty_icon = "approval"
    empty_title = "No requests for approval"
    empty_text = "Actions that a rule covers wait here until a second colleague approves them."
    empty_link = ("Approval rules", "config_approvalrule_changelist")
    export_columns = (
        ("ID", "public_id"),
        ("Action", lambda approval: approval.get_operation_display()),
        ("Title", "title"),
        ("Status", lambda approval: approval.get_status_display()),
        ("Amounts", write_amounts),
        ("Reason", "reason"),
        ("Requested by", "requester"),
        ("Requested at (UTC)", "requested_at"),
        ("Expires at (UTC)", "expires_at"),
        ("Decided by", "decider"),
        ("Decided at (UTC)", "decided_at"),
        ("Decision's reason", "decision_reason"),
        ("Outcome", "outcome"),
    )

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        return (WAITING_FIRST, "-pk")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        expire_due(now=timezone.now())
        return super().changelist_view(request, extra_context)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        expire_due(now=timezone.now())
        return super().changeform_view(request, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related(*PEOPLE, "content_type")

    def facts_of(self, request: HttpRequest, obj: Approval) -> dict[str, Any]:
        person, content_type = Person(staff(request)), obj.content_type
        model = content_type.model_class() if content_type else None
        row = model._base_manager.filter(pk=obj.object_id).first() if model else None
        return {
            "approval": obj,
            "color": COLORS[ApprovalStatus(obj.status)],
            "amounts": write_amounts(obj.money),
            "object_url": page_of(row) if row else "",
            "inputs": [
                (_name(name), _write(value)) for name, value in obj.inputs.items() if value not in (None, "", {})
            ],
            "obstacle": why_not_decide(obj, person) if obj.is_waiting else "",
            "is_mine": is_requester(obj, person),
        }

    @display(description="Status", ordering="status", label=COLORS)
    def show_status(self, approval: Approval) -> tuple[str, str]:
        return approval.status, approval.get_status_display()

    @display(description="Amount")
    def show_amounts(self, approval: Approval) -> SafeString | str:
        texts = ((money(amount, currency), currency) for currency, amount in approval.money.items())
        cells = ((text, "" if currency in text else currency) for text, currency in texts)
        return format_html_join(" ", '<span class="ch-money">{} <small>{}</small></span>', cells) or "–"

    @display(description="Requested by")
    def show_requester(self, approval: Approval) -> str:
        return approval.requester

    @display(description="Requested", ordering="requested_at")
    def show_requested(self, approval: Approval) -> str:
        return moment(approval.requested_at, seconds=False)

    @display(description="Expires", ordering="expires_at")
    def show_expiry(self, approval: Approval) -> str:
        return f"{approval.expires_at:%Y-%m-%d}" if approval.is_waiting else "–"

    @display(description="Decided by")
    def show_decider(self, approval: Approval) -> str:
        return approval.decider or "–"

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether the user can approve or reject the request: it waits, and someone else made it."""
        approval = _waiting(object_id)
        return approval is not None and not why_not_decide(approval, Person(staff(request)))

    def has_withdraw_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        approval = _waiting(object_id)
        return approval is not None and is_requester(approval, Person(staff(request)))

    @action(
        description="Approve",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["decide"],
        dialog=confirm(
            "Approve and carry out?",
            "It is carried out now, exactly as requested. If its amount or object has changed since, nothing is done.",
            "Approve",
            OptionalReasonForm,
        ),
        confirmed=True,
    )
    def approve_one(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Approve the request and carry it out."""
        approval = get_object_or_404(Approval, pk=object_id)
        reason = form.cleaned_data["reason"]
        decided = approve(approval, by=Person(staff(request)), reason=reason, now=timezone.now())
        if decided.status == ApprovalStatus.FAILED:
            message = f"Not carried out: {decided.outcome}"
            return open_page(request, approval.get_absolute_url(), message, level=messages.ERROR)
        return open_page(request, approval.get_absolute_url(), "Approved and carried out.")

    @action(
        description="Reject",
        icon="close",
        variant=ActionVariant.DANGER,
        permissions=["decide"],
        dialog=confirm("Reject this request?", "Nothing is done. It can be requested again.", "Reject", ReasonForm),
    )
    def reject_one(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Reject the request and record the reason."""
        approval, reason = get_object_or_404(Approval, pk=object_id), form.cleaned_data["reason"]
        reject(approval, by=Person(staff(request)), reason=reason, now=timezone.now())
        return open_page(request, approval.get_absolute_url(), "Rejected. Nothing was done.")

    @action(
        description="Withdraw",
        icon="undo",
        permissions=["withdraw"],
        dialog=confirm("Withdraw your request?", "Nothing is done.", "Withdraw", OptionalReasonForm),
    )
    def withdraw_one(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        """Withdraw one's own request."""
        approval, reason = get_object_or_404(Approval, pk=object_id), form.cleaned_data["reason"]
        withdraw(approval, by=Person(staff(request)), reason=reason, now=timezone.now())
        return open_page(request, approval.get_absolute_url(), "Withdrawn. Nothing was done.")


def _waiting(object_id: Any) -> Approval | None:
    if not str(object_id).isdecimal():
        return None
    return Approval.objects.waiting(timezone.now()).select_related(*PEOPLE).filter(pk=object_id).first()


def _name(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _write(value: Any) -> list[str]:
    """Write an input on one line or, for a list or an object, on several."""
    if isinstance(value, dict):
        return [f"{key}: {inner}" for key, inner in value.items()]
    return [str(inner) for inner in value] if isinstance(value, list) else [str(value)]


class RuleForm(forms.ModelForm):
    """When an action needs approval."""

    limits_text = forms.CharField(
        label="Limits",
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text="For “Above an amount”: the largest amount without approval, one currency on each line, for example "
        "USD 1000. In other currencies, every amount needs approval.",
    )
    reason = forms.CharField(
        max_length=255, widget=UnfoldAdminTextInputWidget(), help_text="Recorded with your name and the time."
    )

    class Meta:
        model = ApprovalRule
        fields = ("mode", "expires_days")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["limits_text"].initial = write_limits(self.instance.limits)
        if not self.instance.has_amount:
            choices = [choice for choice in RuleMode.choices if choice[0] != RuleMode.ABOVE]
            self.fields["mode"] = forms.ChoiceField(
                label="Needs approval", choices=choices, widget=UnfoldAdminSelectWidget()
            )
            self.fields["limits_text"].widget = forms.HiddenInput()

    def clean_limits_text(self) -> Any:
        return read_limits(self.cleaned_data["limits_text"])

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("mode") == RuleMode.ABOVE and data.get("limits_text") == {}:
            raise ValidationError({"limits_text": "Enter at least one limit, for example USD 1000."})
        return data

    def terms(self) -> Terms:
        """Return the rule that was entered."""
        data = self.cleaned_data
        return Terms(RuleMode(data["mode"]), data["limits_text"], data["expires_days"])

    def _post_clean(self) -> None:
        """Leave the instance as it is in the database: `change_rule` compares with it and saves."""


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(ConfirmedForms, WrittenBySystem, OfficeAdmin):
    """Which actions need approval by a second colleague. All are switched off at first."""

    form = RuleForm
    list_display = ("show_kind", "show_rule", "show_expiry")
    list_display_links = ("show_kind",)
    readonly_fields = ("show_approvers",)
    export_columns = (
        ("Action", str),
        ("Needs approval", lambda rule: rule.describe()),
        ("Expires after days", "expires_days"),
    )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        install_rules()
        return super().changelist_view(request, extra_context)

    def get_fieldsets(self, request: HttpRequest, obj: ApprovalRule | None = None) -> Any:
        limits = ("limits_text",) if obj is not None and obj.has_amount else ()
        fields = ("mode", *limits, "expires_days", "show_approvers", "reason")
        return ((None, {"fields": fields, "description": _explain(staff(request))}),)

    def save_model(self, request: HttpRequest, obj: ApprovalRule, form: RuleForm, change: bool) -> None:
        change_rule(obj, form.terms(), by=staff(request), reason=form.cleaned_data["reason"])

    @display(description="Action", ordering="pk")
    def show_kind(self, rule: ApprovalRule) -> str:
        return str(rule)

    @display(description="Needs approval")
    def show_rule(self, rule: ApprovalRule) -> str:
        return rule.describe()

    @display(description="Requests expire after")
    def show_expiry(self, rule: ApprovalRule) -> str:
        return "1 day" if rule.expires_days == 1 else f"{rule.expires_days} days"

    @display(description="Who can decide")
    def show_approvers(self, rule: ApprovalRule) -> str:
        people = User.objects.filter(is_active=True, is_staff=True).order_by("username")
        names = [user.get_full_name() or user.get_username() for user in people if user.has_perm(DECIDE)]
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        shown = ", ".join(names[:NAMES_SHOWN]) or "no one"
        warning = " Add a second colleague: no one decides about their own request." if len(names) < 2 else ""
        return f"{shown}{more}, if they may do the action themselves.{warning}"


def _explain(user: User) -> str:
    if other_owners(user):
        return (
            "Stricter rules apply at once. Relaxing a rule must be approved by someone else: switching it off, raising "
            "a limit, or limiting what always needs approval."
        )
    return (
        "Changes apply at once, also those that relax a rule: you are the only one who can change rules, so no one "
        "could approve them."
    )
