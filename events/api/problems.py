"""API views for problems: events that aren't counted."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import Feature
from config.api.errors import ServiceUnavailable
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body, read_query
from events.api.filters import ProblemFilter
from events.api.serializers.problems import (
    MOST_AT_ONCE,
    AtRiskOut,
    CauseBody,
    CauseOut,
    Causes,
    Dismissal,
    DismissAnswer,
    ProblemChoice,
    ProblemOut,
    ReplayAnswer,
)
from events.fixing import PreviewBusy
from events.fixing.at_risk import AtRisk, at_risk
from events.fixing.causes import known_names
from events.fixing.offers import Trouble, nearly_named, offers_for
from events.ledger.causes import open_causes
from events.ledger.replaying import replay
from events.ledger.voiding import dismiss, problems_of
from events.models import Problem, Scope
from events.reasons import Reason

TAG = "Problems"
CAUSE = {"cause": {"reason": "unknown_customer", "external_customer_id": "acme"}}


class Problems(ApiView):
    """List problems, newest first: events that aren't counted, with the reason."""

    @operation(
        "listProblems",
        "List problems",
        tag=TAG,
        answers={200: listed("ProblemList", ProblemOut)},
        filters=ProblemFilter,
    )
    def get(self, request: Request) -> Response:
        rows = Problem.objects.select_related("event", "feature").defer("event__properties").order_by("-pk")
        return page(request, rows, ProblemFilter, ProblemOut)


class ProblemCauses(ApiView):
    """List the causes of open problems, most frequent first."""

    @operation("listProblemCauses", "List problems by cause", tag=TAG, answers={200: Causes})
    def get(self, request: Request) -> Response:
        return Response({"items": CauseOut(open_causes(), many=True, context={"names": known_names()}).data})


class ProblemsAtRisk(ApiView):
    """Retrieve what fixing a cause would add: units by feature, and amounts by currency. Read-only."""

    @operation(
        "getProblemsAtRisk",
        "Retrieve the usage at risk of a cause",
        tag=TAG,
        parameters=[CauseBody],
        answers={200: AtRiskOut},
        errors=(400, 404),
        description="The preview of the likeliest fix, for the first 500 events.",
    )
    def get(self, request: Request) -> Response:
        query = read_query(request, CauseBody)
        return Response(AtRiskOut(_measure(read_trouble(query))).data)


def read_trouble(cause: dict[str, Any]) -> Trouble:
    """Return the cause that a body or query names."""
    feature_id = cause.get("feature_id") or ""
    feature = get_or_404(Feature.objects.all(), "feature", public_id=feature_id) if feature_id else None
    first = problems_in({"cause": cause}).order_by("pk").first()
    reason, name = Reason(cause["reason"]), cause.get("event_name") or ""
    external_id = cause.get("external_customer_id") or ""
    return Trouble(reason, name, external_id, feature, first.occurred_at if first else None)


def _measure(trouble: Trouble) -> AtRisk:
    likely = nearly_named(trouble.external_id) if trouble.reason == Reason.UNKNOWN_CUSTOMER else None
    offers = offers_for(trouble, known_names=known_names(), meant=likely)
    try:
        return at_risk(trouble, offers, now=timezone.now())
    except PreviewBusy as busy:
        raise ServiceUnavailable(str(busy)) from busy


def problems_in(body: dict[str, Any]) -> QuerySet[Problem]:
    """Return the open problems that a body selects."""
    cause = body.get("cause") or {}
    return problems_of(
        ids=body.get("problem_ids") or (),
        reason=cause.get("reason", ""),
        event_name=cause.get("event_name") or "",
        external_id=cause.get("external_customer_id") or "",
        feature=cause.get("feature_id") or "",
    )


class ProblemReplay(ApiView):
    """Replay events with the current features and customers. Problems that aren't fixed stay open."""

    write_scope = Scope.BILLING_WRITE

    @operation(
        "replayProblems",
        "Replay problems",
        refusals="Specify either `problem_ids` or a `cause`.",
        tag=TAG,
        body=ProblemChoice,
        answers={200: ReplayAnswer},
        example=CAUSE,
        description="Replayed events count in the period in which they occurred. At most 20,000 events per request; "
        "repeat the request while `has_more` is true.",
    )
    def post(self, request: Request) -> Response:
        rows = problems_in(read_body(request, ProblemChoice))
        ids = list(rows.order_by("event_id").values_list("event_id", flat=True).distinct()[: MOST_AT_ONCE + 1])
        replayed = replay(ids[:MOST_AT_ONCE], closing="Replayed through the API")
        body = {"events": replayed.events, "closed": replayed.closed, "still_open": replayed.still_open}
        return Response(body | {"has_more": len(ids) > MOST_AT_ONCE})


class ProblemDismissal(ApiView):
    """Dismiss problems without counting their events. The reason is stored."""

    write_scope = Scope.BILLING_WRITE

    @operation(
        "dismissProblems",
        "Dismiss problems",
        refusals="Specify either `problem_ids` or a `cause`.",
        tag=TAG,
        body=Dismissal,
        answers={200: DismissAnswer},
        example=CAUSE | {"reason": "A customer of the old system"},
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, Dismissal)
        ids = list(problems_in(body).order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        dismissed = dismiss(ids[:MOST_AT_ONCE], reason=body["reason"], now=timezone.now())
        return Response({"dismissed": dismissed, "has_more": len(ids) > MOST_AT_ONCE})
