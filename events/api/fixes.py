"""API views for fixes of problems: preview what a fix would change, apply it, follow its replay."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.errors import ServiceUnavailable
from config.api.fields import ExactField
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import READ, ApiView, get_or_404, read_body, require_scope
from events.api.fix_parameters import PARAMETERS, describe_parameters, read_action, scopes_of
from events.diagnosis.billing_facts import billing
from events.fixing import Action, Applied, CauseChange, Preview, PreviewBusy, apply_fix, count_waiting, preview
from events.fixing.registry import ACTIONS
from events.models import MendingRun
from events.models.operations import MendingKind
from events.tasks import enqueue_fixes

TAG = "Fixes"
EXAMPLE = {"action": "map_event_name", "parameters": {"alias": "no.such", "event_name": "api.calls"}}
DESCRIPTION = (
    "Causes of problems and the steps of an event's diagnosis list their `fixes`. Preview or apply a fix with its "
    f"`action` and `parameters`, after adding the parameters in `missing`. The fixes and their parameters:\n\n"
    f"{describe_parameters()}\n\n"
    "The key needs the scopes of the changes that the fix makes."
)


class FixIn(serializers.Serializer[Any]):
    """A fix and its parameters."""

    action = serializers.ChoiceField(sorted(PARAMETERS))
    parameters = serializers.DictField(child=serializers.CharField(allow_blank=True, max_length=255), default=dict)


class FixToApply(FixIn, OptionalReasonIn):
    """A fix, its parameters, and the optional reason for the change log."""


class UsageChange(serializers.Serializer[Any]):
    """A customer's usage of a feature before and after the fix, in the hours of the events."""

    customer_id = serializers.CharField(source="customer.public_id")
    external_customer_id = serializers.CharField(source="customer.external_id")
    feature_id = serializers.CharField(source="feature.public_id")
    feature_name = serializers.CharField(source="feature.name")
    start_time = serializers.DateTimeField(source="start")
    end_time = serializers.DateTimeField(source="end")
    quantity_before = ExactField(source="before")
    quantity_after = ExactField(source="after")
    events_before = serializers.IntegerField()
    events_after = serializers.IntegerField()


class AmountChange(serializers.Serializer[Any]):
    """The amount of the affected billing periods' usage, in one currency."""

    currency = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    difference = serializers.CharField()


class PreviewOut(serializers.Serializer[Any]):
    """What a fix would change. Nothing was changed."""

    title = serializers.CharField()
    notes = serializers.ListField(child=serializers.CharField(), help_text="What else the fix starts, such as fees.")
    waiting = serializers.IntegerField(help_text="Events that wait for the fix, up to 5,001.")
    events = serializers.IntegerField(help_text="Events that the preview includes, up to 5,000.")
    is_partial = serializers.BooleanField(help_text="Whether more events wait than the preview includes.")
    closed = serializers.IntegerField(help_text="Problems that would be closed.")
    still_open = serializers.IntegerField(help_text="Problems that would stay open.")
    changes = UsageChange(many=True)
    amounts = AmountChange(many=True)


class AppliedOut(serializers.Serializer[Any]):
    """The result of a fix. With a `run_id`, the events are replayed in the background."""

    title = serializers.CharField()
    events = serializers.IntegerField(help_text="Events that were replayed.")
    closed = serializers.IntegerField(help_text="Problems that were closed.")
    still_open = serializers.IntegerField(help_text="Problems that stay open.")
    changes = UsageChange(many=True)
    amounts = AmountChange(many=True)
    run_id = serializers.CharField(allow_null=True)


class ReplayRunOut(serializers.Serializer[Any]):
    """A replay or dismissal of more than 20,000 events in the background."""

    id = serializers.CharField(source="pk")
    kind = serializers.ChoiceField(MendingKind.choices)
    title = serializers.CharField()
    reason = serializers.CharField()
    events = serializers.IntegerField(allow_null=True, help_text="Null until they are counted.")
    done = serializers.IntegerField()
    closed = serializers.IntegerField()
    still_open = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class FixRunFilter(filters.FilterSet):
    is_finished = filters.BooleanFilter(field_name="finished_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = MendingRun
        fields: ClassVar[list[str]] = []


def read_fix(request: Request, body: dict[str, Any]) -> Action:
    """Return the fix that a body names. 403 if the key lacks a scope that the fix needs."""
    for scope in scopes_of(ACTIONS[body["action"]]):
        require_scope(request, scope)
    return read_action(body["action"], body["parameters"])


class FixView(ApiView):
    """A view whose key needs the scopes of the fix in the body."""

    def scope_for(self, request: Request) -> str:
        return READ


class FixPreview(FixView):
    """Preview a fix: what it would change in usage and amounts. The change is made and rolled back."""

    is_reading = True

    @operation(
        "previewFix",
        "Preview a fix",
        refusals="`parameters` must be those of the `action`, and the objects that they name must exist.",
        tag=TAG,
        body=FixIn,
        answers={200: PreviewOut},
        errors=(400, 404),
        example=EXAMPLE,
        description=DESCRIPTION,
    )
    def post(self, request: Request) -> Response:
        action = read_fix(request, read_body(request, FixIn))
        try:
            result = preview(action, now=timezone.now(), by=None)
        except PreviewBusy as busy:
            raise ServiceUnavailable(str(busy)) from busy
        return Response(PreviewOut(_preview_body(action, result)).data)


class Fixes(FixView):
    """Apply a fix and replay the events that wait for it. Safe to repeat."""

    @operation(
        "applyFix",
        "Apply a fix",
        refusals="`parameters` must be those of the `action`, and the objects that they name must exist.",
        tag=TAG,
        body=FixToApply,
        answers={200: AppliedOut},
        errors=(400, 404),
        example=EXAMPLE | {"reason": "Renamed by the app"},
        description=DESCRIPTION,
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, FixToApply)
        action = read_fix(request, body)
        try:
            applied = apply_fix(action, now=timezone.now(), by=None, reason=reason_in(body))
        except PreviewBusy as busy:
            raise ServiceUnavailable(str(busy)) from busy
        if applied.run is not None:
            enqueue_fixes()
        return Response(AppliedOut(_applied_body(action, applied)).data)


class FixRuns(ApiView):
    """List replays and dismissals of more than 20,000 events, latest first."""

    @operation(
        "listFixRuns",
        "List background replays",
        tag=TAG,
        answers={200: listed("FixRunList", ReplayRunOut)},
        filters=FixRunFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, runs(), FixRunFilter, ReplayRunOut)


class OneFixRun(ApiView):
    """Retrieve a background replay or dismissal with its progress."""

    @operation("getFixRun", "Retrieve a background replay", tag=TAG, answers={200: ReplayRunOut}, errors=(404,))
    def get(self, request: Request, fix_run_id: str) -> Response:
        number = fix_run_id if fix_run_id.isascii() and fix_run_id.isdecimal() and len(fix_run_id) < 19 else "0"
        return Response(ReplayRunOut(get_or_404(runs(), "background replay", pk=number)).data)


def runs() -> QuerySet[MendingRun]:
    return MendingRun.objects.order_by("-pk")


def _preview_body(action: Action, result: Preview) -> dict[str, Any]:
    return {
        "title": action.title(),
        "notes": action.notes(now=timezone.now()),
        "waiting": count_waiting(action),
        "events": result.events,
        "is_partial": result.is_partial,
        "closed": result.closed,
        "still_open": result.still_open,
        **_changes(result.changes, result.before.worth.amounts, result.after.worth.amounts),
    }


def _applied_body(action: Action, applied: Applied) -> dict[str, Any]:
    return {
        "title": action.title(),
        "events": applied.replayed.events,
        "closed": applied.replayed.closed,
        "still_open": applied.replayed.still_open,
        "run_id": applied.run.pk if applied.run else None,
        **_changes(applied.changes, applied.money_before.amounts, applied.money_after.amounts),
    }


def _changes(
    changes: tuple[CauseChange, ...], before: Mapping[str, Decimal], after: Mapping[str, Decimal]
) -> dict[str, Any]:
    return {"changes": changes, "amounts": [_amounts(code, before, after) for code in sorted({*before, *after})]}


def _amounts(currency: str, before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> dict[str, str]:
    old, new, write = before.get(currency, Decimal(0)), after.get(currency, Decimal(0)), billing().write_digits
    return {
        "currency": currency,
        "before": write(old, currency),
        "after": write(new, currency),
        "difference": write(new - old, currency),
    }
