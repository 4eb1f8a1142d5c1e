"""Decisions about late usage in the admin: about one adjustment on its page, and about many in the list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from billing.admin.pages.late_adjustment import format_period
from billing.admin.shared import format_totals
from billing.late_usage import decisions
from billing.models import LateAdjustment, LateState
from config.office.dialogs import ReasonForm, action, confirm, open_page, staff
from config.office.wording import plural
from config.refusals import Refused

RELATED = (
    "subscription__customer",
    "feature",
    "price__feature",
    "price__version__plan",
    "invoice",
    "line__invoice",
    "credit_note",
    "decided_by",
)


@dataclass(frozen=True)
class Decision:
    """A decision about adjustments, the states it applies to, and its wording."""

    action: str
    verb: str
    done: str
    effect: str
    states: Sequence[LateState]
    decide: Callable[..., list[LateAdjustment]]
    needs_reason: bool = False


APPROVE = Decision(
    action="approve_selected",
    verb="Approve",
    done="approved",
    effect="billed on the next invoice of each subscription",
    states=decisions.APPROVABLE,
    decide=decisions.approve,
)
WAIVE = Decision(
    action="ignore_selected",
    verb="Waive",
    done="waived",
    effect="never charged or credited",
    states=decisions.WAIVABLE,
    decide=decisions.ignore,
    needs_reason=True,
)
REOPEN = Decision(
    action="take_up_selected",
    verb="Reopen",
    done="reopened",
    effect="recalculated for the next invoice",
    states=decisions.REOPENABLE,
    decide=decisions.reopen_ignored,
)


class LateDecisions:
    """Actions to approve, waive and reopen late usage, for its admin class."""

    admin_site: Any
    opts: Any
    message_user: Callable[..., None]

    def has_approve_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_decide(request, object_id, APPROVE)

    def has_waive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_decide(request, object_id, WAIVE)

    def has_reopen_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._can_decide(request, object_id, REOPEN)

    def _can_decide(self, request: HttpRequest, object_id: Any, decision: Decision) -> bool:
        adjustments = LateAdjustment.objects.filter(pk=object_id, state__in=decision.states)
        return request.user.has_perm("billing.change_lateadjustment") and adjustments.exists()

    @action(
        description="Approve",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["approve"],
        dialog=confirm("Approve this difference?", "It is billed on the subscription's next invoice.", "Approve"),
    )
    def approve_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return decide_one(request, object_id, APPROVE)

    @action(
        description="Waive",
        icon="money_off",
        permissions=["waive"],
        dialog=confirm("Waive this difference?", "It is never charged or credited.", "Waive", ReasonForm),
    )
    def waive_one(self, request: HttpRequest, form: ReasonForm, object_id: int) -> HttpResponse:
        return decide_one(request, object_id, WAIVE, reason=form.cleaned_data["reason"])

    @action(
        description="Reopen",
        icon="undo",
        permissions=["reopen"],
        dialog=confirm("Reopen this difference?", "It is recalculated for the next invoice.", "Reopen"),
    )
    def reopen_one(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return decide_one(request, object_id, REOPEN)

    @admin.action(description="Approve: bill on the next invoice", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        return self.decide_selected(request, queryset, APPROVE)

    @admin.action(description="Waive: never bill the difference", permissions=["change"])
    def ignore_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        return self.decide_selected(request, queryset, WAIVE)

    @admin.action(description="Reopen waived adjustments", permissions=["change"])
    def take_up_selected(self, request: HttpRequest, queryset: QuerySet[LateAdjustment]) -> HttpResponse | None:
        return self.decide_selected(request, queryset, REOPEN)

    def decide_selected(
        self, request: HttpRequest, queryset: QuerySet[LateAdjustment], decision: Decision
    ) -> HttpResponse | None:
        """Preview a decision about the selected adjustments; once confirmed, apply it."""
        adjustments = list(queryset.select_related(*RELATED).order_by("pk"))
        matching = [adjustment for adjustment in adjustments if adjustment.state in decision.states]
        reason = request.POST.get("reason", "")
        if "confirmed" in request.POST:
            arguments = {"reason": reason} if decision.needs_reason else {}
            ids = [adjustment.pk for adjustment in matching]
            try:
                decided = decision.decide(ids, by=staff(request), now=timezone.now(), **arguments)
            except Refused as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
            else:
                self.message_user(request, f"{describe(decided)}: {decision.done}.", messages.SUCCESS)
                return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"{decision.verb} late usage",
            "opts": self.opts,
            "chosen": [(row, format_period(row), row.state in decision.states) for row in adjustments],
            "fitting": matching,
            "skipped": len(adjustments) - len(matching),
            "counted": describe(matching),
            "verb": decision.verb,
            "effect": decision.effect,
            "action": decision.action,
            "needs_reason": decision.needs_reason,
            "reason": reason,
        }
        return TemplateResponse(request, "admin/billing/late/decide.html", context)


def decide_one(request: HttpRequest, object_id: int, decision: Decision, **arguments: str) -> HttpResponse:
    """Apply a decision to one adjustment, and open its page; a reopened one is replaced by a new adjustment."""
    decided = decision.decide([object_id], by=staff(request), now=timezone.now(), **arguments)
    adjustment = decided[0] if decided else LateAdjustment.objects.get(pk=object_id)
    done = f"{describe(decided)}: {decision.done}." if decided else "Nothing to settle any more."
    return open_page(request, adjustment.get_absolute_url(), done)


def describe(adjustments: Sequence[LateAdjustment]) -> str:
    """Count adjustments and add their amounts: 2 adjustments, $1.50."""
    totals = format_totals((adjustment.currency, adjustment.amount) for adjustment in adjustments)
    return f"{plural(len(adjustments), 'adjustment')}, {totals or 'no amount'}"
