"""API views for proofs: list, start and retrieve them, their differences, and the signed result."""

from datetime import date
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing.kinds import ProofKind, ProofSubject
from billing.models import Invoice, ProofDifference, ProofRun
from billing.month_end.months import Month
from billing.proofs.runs import start_proofs
from billing.proofs.signing import describe_signed
from billing.tasks import enqueue_proofs
from config.api.errors import invalid
from config.api.fields import BlankAsNullField, ComputedText
from config.api.filters import ManyFilter, MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body
from customers.models import Customer

TAG = "Proofs"
WRITE = "billing:write"


class ProofIn(serializers.Serializer[Any]):
    """What to prove: one invoice, one customer or one month. Without any of them, what a night proves."""

    invoice_id = serializers.CharField(required=False, allow_null=True)
    customer_id = serializers.CharField(required=False, allow_null=True)
    month = serializers.RegexField(r"^\d{4}-\d{2}\Z", required=False, allow_null=True, help_text="For example 2026-09.")


class ProofResultOut(serializers.Serializer[Any]):
    """The result of one kind of proof. `checked` is `proved` + `waiting` + `differing`."""

    kind = serializers.ChoiceField(ProofKind.choices)
    scope = serializers.CharField(help_text="What was checked.")
    checked = serializers.IntegerField()
    proved = serializers.IntegerField()
    waiting = serializers.IntegerField(
        help_text="Not provable yet: late usage is pending, or retention has removed the events."
    )
    differing = serializers.IntegerField()
    seconds = serializers.FloatField(help_text="The time of work, added up over all workers.")
    finished_at = serializers.DateTimeField(allow_null=True)


class ProofRunOut(serializers.Serializer[Any]):
    """A night's proofs, or proofs that someone started. They change nothing."""

    id = serializers.CharField(source="public_id")
    is_nightly = serializers.BooleanField()
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True, help_text="Null while the proofs run.")
    invoice_id = ComputedText(allow_null=True, help_text="If only this invoice was proved.")
    customer_id = ComputedText(allow_null=True, help_text="If only this customer was proved.")
    month = ComputedText(allow_null=True, help_text="If only this month was proved.")
    differing = serializers.SerializerMethodField(help_text="The differing objects of all proofs.")
    results = ProofResultOut(many=True)

    def get_invoice_id(self, run: ProofRun) -> str | None:
        return run.invoice.public_id if run.invoice else None

    def get_customer_id(self, run: ProofRun) -> str | None:
        return run.customer.public_id if run.customer else None

    def get_month(self, run: ProofRun) -> str | None:
        return f"{run.month:%Y-%m}" if run.month else None

    @extend_schema_field(serializers.IntegerField())
    def get_differing(self, run: ProofRun) -> int:
        return sum(result.differing for result in run.results.all())


class ProofDifferenceOut(serializers.Serializer[Any]):
    """A stored figure that differs from its recalculation, and the object that it belongs to."""

    kind = serializers.ChoiceField(ProofKind.choices, source="result.kind")
    subject = serializers.ChoiceField(ProofSubject.choices)
    name = serializers.CharField(help_text="The object's name.")
    figure = serializers.CharField(help_text="Which figure differs.")
    stated = BlankAsNullField(help_text="The stored figure.")
    calculated = BlankAsNullField(help_text="The figure that was calculated again.")


class ProofFilter(filters.FilterSet):
    is_nightly = filters.BooleanFilter(label="True: only nights. False: only proofs that someone started.")
    started_at_gte = MomentFilter(field_name="started_at", lookup_expr="gte")
    started_at_lte = MomentFilter(field_name="started_at", lookup_expr="lte")

    class Meta:
        model = ProofRun
        fields: ClassVar[list[str]] = []


class DifferenceFilter(filters.FilterSet):
    kind = ManyFilter(field_name="result__kind", help_text=", ".join(ProofKind.values))
    subject = ManyFilter(field_name="subject", help_text=", ".join(ProofSubject.values))

    class Meta:
        model = ProofDifference
        fields: ClassVar[list[str]] = []


class Proofs(ApiView):
    """List proofs, latest first, or start them."""

    write_scope = WRITE

    @operation(
        "listProofs", "List proofs", tag=TAG, answers={200: listed("ProofList", ProofRunOut)}, filters=ProofFilter
    )
    def get(self, request: Request) -> Response:
        return page(request, _runs().order_by("-started_at", "-pk"), ProofFilter, ProofRunOut)

    @operation(
        "startProofs",
        "Start proofs",
        refusals="Name at most one of `invoice_id`, `customer_id` and `month`.",
        tag=TAG,
        body=ProofIn,
        answers={202: ProofRunOut},
        errors=(400, 404),
        example={"month": "2026-09"},
        description="Starts proofs in the background, or returns those of the same scope that aren't finished. "
        "Retrieve them to follow their progress. They change nothing.",
    )
    def post(self, request: Request) -> Response:
        run = start_proofs(now=timezone.now(), by=None, **_read_scope(read_body(request, ProofIn)))
        enqueue_proofs()
        return Response(ProofRunOut(_runs().get(pk=run.pk)).data, status=202)


class OneProof(ApiView):
    """Retrieve proofs with their results so far."""

    @operation("getProof", "Retrieve proofs", tag=TAG, answers={200: ProofRunOut}, errors=(404,))
    def get(self, request: Request, proof_id: str) -> Response:
        return Response(ProofRunOut(run_of(proof_id)).data)


class ProofDifferences(ApiView):
    """List the differences that proofs found."""

    @operation(
        "listProofDifferences",
        "List the differences of proofs",
        tag=TAG,
        answers={200: listed("ProofDifferenceList", ProofDifferenceOut)},
        filters=DifferenceFilter,
        errors=(400, 404),
    )
    def get(self, request: Request, proof_id: str) -> Response:
        rows = ProofDifference.objects.filter(result__run=run_of(proof_id)).select_related("result").order_by("pk")
        return page(request, rows, DifferenceFilter, ProofDifferenceOut)


class SignedProof(ApiView):
    """Retrieve the signed result of finished proofs."""

    @operation(
        "getSignedProof",
        "Retrieve the signed result of proofs",
        tag=TAG,
        answers={200: OpenApiResponse(OpenApiTypes.OBJECT, "The result, its public key and its signature.")},
        errors=(404,),
        description="A JSON object with an Ed25519 signature over all its other values. Save it as a file and verify "
        "it with `manage.py verify_proof`. 404 while the proofs run.",
    )
    def get(self, request: Request, proof_id: str) -> Response:
        run = run_of(proof_id)
        if run.finished_at is None:
            raise NotFound("The proofs aren't finished.")
        return Response(describe_signed(run))


def _runs() -> QuerySet[ProofRun]:
    return ProofRun.objects.select_related("invoice", "customer").prefetch_related("results")


def run_of(proof_id: str) -> ProofRun:
    return get_or_404(_runs(), "proof", public_id=proof_id)


def _read_scope(body: dict[str, Any]) -> dict[str, Any]:
    named = {name: value for name, value in body.items() if value}
    if len(named) > 1:
        raise invalid({name: ["Name one scope only."] for name in named})
    if "invoice_id" in named:
        return {"invoice": get_or_404(Invoice.objects.all(), "invoice", public_id=named["invoice_id"])}
    if "customer_id" in named:
        return {"customer": get_or_404(Customer.objects.all(), "customer", public_id=named["customer_id"])}
    return {"month": _read_month(named["month"])} if "month" in named else {}


def _read_month(name: str) -> date:
    try:
        return Month.named(name).first
    except ValueError as error:
        raise invalid({"month": ["Use the form 2026-09."]}) from error
