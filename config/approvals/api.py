"""API views for approvals and their rules."""

from typing import ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.errors import invalid
from config.api.filters import ManyFilter, page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn, ReasonIn, reason_in
from config.api.views import ApiView, get_or_404, read_body, require_scope
from config.approvals.kinds import ApprovalStatus, Operation, RuleMode
from config.approvals.models import Approval, ApprovalRule
from config.approvals.operations import handler_of
from config.approvals.people import Person, person_of
from config.approvals.requests import approve, expire_due, reject, withdraw
from config.approvals.rules import Terms, change_rule, install_rules
from config.approvals.serializers import ApprovalOut, RuleIn, RuleOut

TAG = "Approvals"
DECIDES = (
    "The API key needs the scopes of the action, too. No one decides about their own request: neither with the API key "
    "that requested it, nor with another key of the same colleague. A key decides only in the name of the colleague "
    "who created it: someone who took responsibility for it rotates it in the admin first."
)


class ApprovalFilter(filters.FilterSet):
    status = ManyFilter(choices=ApprovalStatus.values)
    operation = ManyFilter(choices=Operation.values)
    object_id = filters.CharFilter(field_name="object_public_id", label="The id of the object.")

    class Meta:
        model = Approval
        fields: ClassVar[list[str]] = []


def approvals() -> QuerySet[Approval]:
    """Load approvals, newest first, after expiring those whose time is over."""
    expire_due(now=timezone.now())
    return Approval.objects.select_related("requested_by", "responsible", "decided_by").order_by("-pk")


def approval_of(approval_id: str) -> Approval:
    return get_or_404(approvals(), "approval", public_id=approval_id)


def _answer(approval: Approval) -> Response:
    return Response(ApprovalOut(approval_of(approval.public_id)).data)


def _person() -> Person:
    person = person_of(None)
    return person or Person(None)


class Approvals(ApiView):
    """List requests for approval, newest first."""

    @operation(
        "listApprovals",
        "List approvals",
        tag=TAG,
        answers={200: listed("ApprovalList", ApprovalOut)},
        filters=ApprovalFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, approvals(), ApprovalFilter, ApprovalOut)


class OneApproval(ApiView):
    """Retrieve a request for approval, with the decision about it."""

    @operation("getApproval", "Retrieve an approval", tag=TAG, answers={200: ApprovalOut}, errors=(404,))
    def get(self, request: Request, approval_id: str) -> Response:
        return Response(ApprovalOut(approval_of(approval_id)).data)


class Decision(ApiView):
    """A decision about a request, which requires the scopes of its action."""

    write_scope = "approvals:write"

    def load(self, request: Request, approval_id: str) -> Approval:
        approval = approval_of(approval_id)
        for scope in handler_of(approval).scopes(approval):
            require_scope(request, scope)
        return approval


class ApprovalApprove(Decision):
    """Approve a request: it is carried out now, exactly as requested. Fails (400) if it was decided or has expired."""

    @operation(
        "approveApproval",
        "Approve a request",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: ApprovalOut},
        errors=(400, 404),
        example={"reason": "Checked with the customer"},
        description="If the action is refused now, or has changed since it was requested, nothing is done, and the "
        f"status is `failed`. {DECIDES}",
    )
    def post(self, request: Request, approval_id: str) -> Response:
        approval, reason = self.load(request, approval_id), reason_in(read_body(request, OptionalReasonIn))
        return _answer(approve(approval, by=_person(), reason=reason, now=timezone.now()))


class ApprovalReject(Decision):
    """Reject a request: nothing is done. Fails (400) if it was decided or has expired."""

    @operation(
        "rejectApproval",
        "Reject a request",
        tag=TAG,
        body=ReasonIn,
        answers={200: ApprovalOut},
        errors=(400, 404),
        example={"reason": "Credit the invoice instead"},
        description=DECIDES,
    )
    def post(self, request: Request, approval_id: str) -> Response:
        approval, reason = self.load(request, approval_id), read_body(request, ReasonIn)["reason"]
        return _answer(reject(approval, by=_person(), reason=reason, now=timezone.now()))


class ApprovalWithdraw(ApiView):
    """Withdraw a request: nothing is done. Fails (400) for a request of someone else."""

    @operation(
        "withdrawApproval",
        "Withdraw a request",
        tag=TAG,
        body=OptionalReasonIn,
        answers={200: ApprovalOut},
        errors=(400, 404),
        example={"reason": "Requested by mistake"},
        description="Requires the scopes of the action, as the request did.",
    )
    def post(self, request: Request, approval_id: str) -> Response:
        approval, reason = approval_of(approval_id), reason_in(read_body(request, OptionalReasonIn))
        for scope in handler_of(approval).scopes(approval):
            require_scope(request, scope)
        return _answer(withdraw(approval, by=_person(), reason=reason, now=timezone.now()))

    def scope_for(self, request: Request) -> str:
        """Return a scope that the request needed; its object is loaded, and the others are checked, afterward."""
        approval = Approval.objects.filter(public_id=self.kwargs["approval_id"]).first()
        return handler_of(approval).scopes(approval)[0] if approval else self.write_scope


class RuleFilter(filters.FilterSet):
    class Meta:
        model = ApprovalRule
        fields: ClassVar[list[str]] = []


class Rules(ApiView):
    """List the rules that say which actions need approval."""

    @operation(
        "listApprovalRules",
        "List approval rules",
        tag=TAG,
        answers={200: listed("ApprovalRuleList", RuleOut)},
        filters=RuleFilter,
    )
    def get(self, request: Request) -> Response:
        install_rules()
        return page(request, ApprovalRule.objects.order_by("pk"), RuleFilter, RuleOut)


class OneRule(ApiView):
    """Retrieve a rule, or change it."""

    @operation("getApprovalRule", "Retrieve an approval rule", tag=TAG, answers={200: RuleOut}, errors=(404,))
    def get(self, request: Request, rule: str) -> Response:
        return Response(RuleOut(_rule_of(rule)).data)

    @operation(
        "updateApprovalRule",
        "Change an approval rule",
        refusals="`limits` are required if `mode` is `above`, which only actions with an amount can have. Each "
        "currency can have one limit.",
        tag=TAG,
        body=RuleIn,
        answers={200: RuleOut},
        may_wait=True,
        errors=(400, 404),
        example={"mode": "above", "limits": [{"currency": "USD", "amount": "1000"}], "reason": "Agreed with the board"},
        description="Requires an API key with all scopes. Relaxing a rule needs approval, unless no one else could "
        "approve that: switching it off, raising a limit, or limiting what always needs approval.",
    )
    def put(self, request: Request, rule: str) -> Response:
        approval_rule, body = _rule_of(rule), read_body(request, RuleIn)
        limits = {limit["currency"]: limit["amount"] for limit in body.get("limits", [])}
        if len(limits) < len(body.get("limits", [])):
            raise invalid({"limits": ["A currency has two limits."]})
        terms = Terms(RuleMode(body["mode"]), limits, body["expires_days"])
        changed = change_rule(approval_rule, terms, by=None, reason=body["reason"])
        return Response(RuleOut(changed).data)


def _rule_of(kind: str) -> ApprovalRule:
    install_rules()
    return get_or_404(ApprovalRule.objects.all(), "approval rule", kind=kind)
