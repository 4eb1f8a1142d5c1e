"""The doors to events that don't count: why, and what to do about it."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, read_body
from events.api.filters import ProblemFilter
from events.api.serializers import (
    MOST_AT_ONCE,
    CauseOut,
    Causes,
    Dismissal,
    DismissAnswer,
    ProblemChoice,
    ProblemOut,
    ReplayAnswer,
)
from events.ledger.causes import open_causes
from events.ledger.replaying import replay
from events.ledger.voiding import dismiss, problems_of
from events.models import Problem, Scope

TAG = "Problems"
CAUSE = {"cause": {"reason": "unknown_customer", "external_customer_id": "acme"}}


class Problems(ApiView):
    """List events that don't count, newest first."""

    @operation(
        "listProblems", "List problems", tag=TAG, answers={200: listed("ProblemList", ProblemOut)},
        filters=ProblemFilter,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        rows = Problem.objects.select_related("event", "feature").defer("event__properties").order_by("-pk")
        return page(request, rows, ProblemFilter, ProblemOut)


class ProblemCauses(ApiView):
    """Group the open problems by cause, the largest group first."""

    @operation("listProblemCauses", "Problems by cause", tag=TAG, answers={200: Causes})
    def get(self, request: Request) -> Response:
        return Response({"items": CauseOut(open_causes(), many=True).data})


def chosen_problems(asked: dict[str, Any]) -> QuerySet[Problem]:
    cause = asked.get("cause") or {}
    return problems_of(
        ids=asked.get("problem_ids") or (),
        reason=cause.get("reason", ""),
        event_name=cause.get("event_name") or "",
        external_id=cause.get("external_customer_id") or "",
        feature=cause.get("feature_id") or "",
    )


class ProblemReplay(ApiView):
    """Judge events again by today's features and customers. What is still wrong stays open."""

    write_scope = Scope.BILLING_WRITE

    @operation(
        "replayProblems", "Replay events that didn't count", tag=TAG, body=ProblemChoice,
        answers={200: ReplayAnswer}, example=CAUSE,
        description="They count in the period of their own time. At most 20,000 at once; a second call goes on.",
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        rows = chosen_problems(read_body(request, ProblemChoice))
        ids = list(rows.order_by("event_id").values_list("event_id", flat=True).distinct()[: MOST_AT_ONCE + 1])
        done = replay(ids[:MOST_AT_ONCE], closing="Replayed through the API")
        found = {"events": done.events, "closed": done.closed, "still_open": done.still_open}
        return Response(found | {"has_more": len(ids) > MOST_AT_ONCE})


class ProblemDismissal(ApiView):
    """Close problems without counting their events. The reason stays with them."""

    write_scope = Scope.BILLING_WRITE

    @operation(
        "dismissProblems", "Dismiss problems", tag=TAG, body=Dismissal, answers={200: DismissAnswer},
        example=CAUSE | {"reason": "A customer of the old system"},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        asked = read_body(request, Dismissal)
        ids = list(chosen_problems(asked).order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        done = dismiss(ids[:MOST_AT_ONCE], reason=asked["reason"], now=timezone.now())
        return Response({"dismissed": done, "has_more": len(ids) > MOST_AT_ONCE})
