"""API views for billing runs and their findings."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.models import BillingRun, InvoiceKind, RunFinding, RunKind, RunState
from billing.money import money
from billing.runs.billing_run import start_run
from billing.runs.dry_run import start_dry_run
from billing.tasks import enqueue_chunks
from config.api.errors import invalid
from config.api.fields import ComputedText
from config.api.filters import ManyFilter, MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body

TAG = "Billing runs"
WRITE = "billing:write"


class RunIn(serializers.Serializer[Any]):
    """A billing run now, or a dry run for now or a later time."""

    dry_run = serializers.BooleanField(default=False, help_text="Only calculate what a run would do.")
    as_of = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Only for a dry run: at most a year ahead. Defaults to now."
    )


class RunOut(serializers.Serializer[Any]):
    """A billing run with its progress. `amounts` are the invoiced amounts; for a dry run, the expected amounts."""

    id = ComputedText(allow_null=True, help_text="Null if nothing was due.")
    kind = serializers.ChoiceField(RunKind.choices)
    state = serializers.ChoiceField(RunState.choices)
    as_of = serializers.DateTimeField()
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    subscriptions = serializers.IntegerField(help_text="The number of subscriptions due when the run started.")
    done = serializers.IntegerField()
    invoices = serializers.IntegerField(source="invoices_made")
    failed = serializers.IntegerField(help_text="The number of subscriptions that couldn't be billed.")
    amounts = serializers.SerializerMethodField(help_text="By currency.")

    def get_id(self, run: BillingRun) -> str | None:
        return run.public_id if run.pk else None

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_amounts(self, run: BillingRun) -> dict[str, str]:
        return {currency: money(Decimal(amount), currency) for currency, amount in run.amounts.items()}


class FindingOut(serializers.Serializer[Any]):
    """An invoice that a dry run expects, or the reason why a subscription couldn't be billed."""

    subscription_id = serializers.CharField(source="subscription.public_id")
    customer_id = serializers.CharField(source="subscription.customer.public_id")
    external_customer_id = serializers.CharField(source="subscription.customer.external_id")
    problem = serializers.CharField(help_text="Blank for an invoice.")
    kind = serializers.ChoiceField(InvoiceKind.choices, allow_blank=True)
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    currency = serializers.CharField()
    lines = serializers.IntegerField()
    total = serializers.SerializerMethodField()
    change = serializers.SerializerMethodField(help_text="The change from the previous period's invoice.")

    def get_total(self, row: RunFinding) -> str | None:
        return None if row.total is None else money(row.total, row.currency)

    def get_change(self, row: RunFinding) -> str | None:
        return None if row.change is None else money(row.change, row.currency)


class RunFilter(filters.FilterSet):
    kind = ManyFilter(field_name="kind", help_text="scheduled, manual, dry.")
    state = ManyFilter(field_name="state", help_text="running, finished.")
    started_at_gte = MomentFilter(field_name="started_at", lookup_expr="gte")
    started_at_lte = MomentFilter(field_name="started_at", lookup_expr="lte")

    class Meta:
        model = BillingRun
        fields: ClassVar[list[str]] = []


class FindingFilter(filters.FilterSet):
    has_problem = filters.BooleanFilter(
        method="with_problem", label="True: only subscriptions that couldn't be billed. False: only invoices."
    )
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    external_customer_id = filters.CharFilter(field_name="subscription__customer__external_id")

    class Meta:
        model = RunFinding
        fields: ClassVar[list[str]] = []

    def with_problem(self, rows: QuerySet[RunFinding], name: str, value: bool) -> QuerySet[RunFinding]:
        return rows.exclude(problem="") if value else rows.filter(problem="")


class Runs(ApiView):
    """Start a billing run, or list billing runs, latest first."""

    write_scope = WRITE

    @operation(
        "listBillingRuns",
        "List billing runs",
        tag=TAG,
        answers={200: listed("BillingRunList", RunOut)},
        filters=RunFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, BillingRun.objects.order_by("-started_at", "-pk"), RunFilter, RunOut)

    @operation(
        "startBillingRun",
        "Start a billing run or a dry run",
        refusals="`as_of` needs `dry_run`.",
        tag=TAG,
        body=RunIn,
        answers={202: RunOut, 200: RunOut},
        errors=(400,),
        example={"dry_run": True},
        description="202: the run was started, or is already in progress; retrieve it to follow its progress. "
        "200: the run is finished because nothing is due.",
    )
    def post(self, request: Request) -> Response:
        body, now = read_body(request, RunIn), timezone.now()
        if body["dry_run"]:
            run = start_dry_run(as_of=body.get("as_of") or now, now=now)
        elif body.get("as_of") is not None:
            raise invalid({"as_of": ["Only a dry run accepts as_of. Leave it out or set dry_run."]})
        else:
            run = start_run(as_of=now, now=now, kind=RunKind.MANUAL) or nothing_due(now)
        if run.state == RunState.RUNNING:
            enqueue_chunks(run)
        return Response(RunOut(run).data, status=202 if run.state == RunState.RUNNING else 200)


class OneRun(ApiView):
    """Retrieve a billing run with its progress."""

    @operation("getBillingRun", "Retrieve a billing run", tag=TAG, answers={200: RunOut}, errors=(404,))
    def get(self, request: Request, run_id: str) -> Response:
        return Response(RunOut(run_of(run_id)).data)


class RunFindings(ApiView):
    """List the findings of a billing run, ordered by subscription."""

    @operation(
        "listBillingRunFindings",
        "List the findings of a billing run",
        tag=TAG,
        answers={200: listed("BillingRunFindingList", FindingOut)},
        filters=FindingFilter,
        errors=(400, 404),
    )
    def get(self, request: Request, run_id: str) -> Response:
        rows = run_of(run_id).findings.select_related("subscription__customer").order_by("pk")
        return page(request, rows, FindingFilter, FindingOut)


def nothing_due(now: datetime) -> BillingRun:
    """Return the unsaved, finished run that stands for having nothing to do."""
    return BillingRun(kind=RunKind.MANUAL, state=RunState.FINISHED, as_of=now, started_at=now, finished_at=now)


def run_of(run_id: str) -> BillingRun:
    return get_or_404(BillingRun.objects.all(), "billing run", public_id=run_id)
