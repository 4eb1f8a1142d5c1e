"""API views for simulations: start, list, retrieve and cancel them, and list what they calculated."""

from decimal import Decimal
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.coupons import coupon_of
from billing.explanation.comparison.values import Cause
from billing.kinds import LineKind
from billing.models import SimulatedChange, SimulatedSelection, Simulation, SimulationInvoice, SimulationState
from billing.models.simulations import MOST_LISTED, MOST_PERIODS
from billing.money import money
from billing.simulation.running import SimulationInputs, cancel_simulation, progress_of, start_simulation
from billing.tasks import enqueue_simulations
from catalog.api.plans import plan_of
from catalog.models import PlanVersion
from catalog.models.plans import VersionState
from config.api.errors import invalid
from config.api.fields import ComputedText
from config.api.filters import ManyFilter, MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import ApiView, get_or_404, read_body

TAG = "Simulations"
WRITE = "billing:write"
AMOUNTS = ("invoiced", "simulated", "change", "p5", "p50", "p95", "lowest", "highest")


class SimulatedVersionIn(serializers.Serializer[Any]):
    """A version of a plan, by default its draft."""

    plan_id = serializers.CharField()
    version = serializers.IntegerField(required=False, allow_null=True, min_value=1)


class SimulationSelectionIn(serializers.Serializer[Any]):
    """Which live subscriptions to simulate: those of a plan, those of customers with a metadata value, or these IDs."""

    plan_id = serializers.CharField(required=False)
    metadata_key = serializers.CharField(required=False, max_length=255)
    metadata_value = serializers.CharField(required=False, max_length=255)
    subscription_ids = serializers.ListField(
        child=serializers.CharField(), required=False, min_length=1, max_length=MOST_LISTED
    )


class SimulationIn(serializers.Serializer[Any]):
    """What to simulate. Without a plan version and a coupon: the present prices, to compare with what was invoiced."""

    plan_version = SimulatedVersionIn(required=False, allow_null=True)
    coupon_id = serializers.CharField(required=False, allow_null=True)
    replaces_agreed_terms = serializers.BooleanField(
        default=False,
        help_text="Simulate the version also for subscriptions with agreed terms, which otherwise keep them.",
    )
    selection = SimulationSelectionIn(required=False, allow_null=True, help_text="By default, all live subscriptions.")
    periods = serializers.IntegerField(
        default=3, min_value=1, max_value=MOST_PERIODS, help_text="The last invoiced periods of each subscription."
    )
    limit_percent = serializers.DecimalField(
        max_digits=7,
        decimal_places=2,
        min_value=Decimal(0),
        required=False,
        allow_null=True,
        help_text="Mark periods whose total changes by more than this.",
    )


class SimulationCauseOut(serializers.Serializer[Any]):
    """What one cause adds to the total of all periods."""

    cause = serializers.ChoiceField(Cause.choices)
    amount = serializers.CharField()


class SimulationFiguresOut(serializers.Serializer[Any]):
    """The figures in one currency. Percentiles, `lowest` and `highest` are of customers' changes over all periods."""

    currency = serializers.CharField()
    customers = serializers.IntegerField()
    periods = serializers.IntegerField(help_text="Periods of all subscriptions.")
    invoiced = serializers.CharField()
    simulated = serializers.CharField()
    change = serializers.CharField()
    pay_more = serializers.IntegerField(help_text="Customers who would pay more.")
    pay_less = serializers.IntegerField(help_text="Customers who would pay less.")
    p5 = serializers.CharField()
    p50 = serializers.CharField()
    p95 = serializers.CharField()
    lowest = serializers.CharField()
    highest = serializers.CharField()
    largest_percent = serializers.CharField(
        help_text="The largest change of a customer, in percent, in either direction."
    )
    sign_changes = serializers.IntegerField(help_text="Periods whose total changes its sign.")
    over_limit = serializers.IntegerField(help_text="Periods that change by more than `limit_percent`.")
    problems = serializers.IntegerField(help_text="Subscriptions that can't be simulated.")
    causes = SimulationCauseOut(many=True)


class SimulationOut(serializers.Serializer[Any]):
    """A simulation with its inputs, its progress and, once it is finished, its results."""

    id = serializers.CharField(source="public_id")
    title = serializers.CharField()
    change = serializers.ChoiceField(SimulatedChange.choices)
    plan_id = ComputedText(allow_null=True, help_text="The plan of the simulated version.")
    version = serializers.SerializerMethodField()
    coupon_id = ComputedText(allow_null=True)
    replaces_agreed_terms = serializers.BooleanField(source="replaces_agreed")
    selection = serializers.ChoiceField(SimulatedSelection.choices)
    periods = serializers.IntegerField()
    limit_percent = serializers.DecimalField(max_digits=7, decimal_places=2, allow_null=True)
    state = serializers.ChoiceField(SimulationState.choices)
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    subscriptions = serializers.IntegerField()
    done = serializers.SerializerMethodField(help_text="Subscriptions that are calculated.")
    results = serializers.SerializerMethodField(help_text="By currency; empty until the simulation is finished.")
    digest = serializers.CharField(help_text="SHA-256 of the inputs and of everything that was calculated.")

    def get_plan_id(self, simulation: Simulation) -> str | None:
        return simulation.version.plan.public_id if simulation.version else None

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_version(self, simulation: Simulation) -> int | None:
        return simulation.version.number if simulation.version else None

    def get_coupon_id(self, simulation: Simulation) -> str | None:
        return simulation.coupon.public_id if simulation.coupon else None

    def get_done(self, simulation: Simulation) -> int:
        return progress_of(simulation).done

    @extend_schema_field(SimulationFiguresOut(many=True))
    def get_results(self, simulation: Simulation) -> Any:
        return SimulationFiguresOut([_figures(row) for row in simulation.results], many=True).data


class SimulatedLineOut(serializers.Serializer[Any]):
    """A charge with its amounts invoiced and simulated."""

    kind = serializers.ChoiceField(LineKind.choices)
    name = serializers.CharField()
    invoiced = serializers.CharField()
    simulated = serializers.CharField()


class SimulatedPartOut(serializers.Serializer[Any]):
    """A part of the change with its cause. The values before and after are texts for people."""

    cause = serializers.ChoiceField(Cause.choices)
    name = serializers.CharField()
    amount = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()


class SimulatedPeriodOut(serializers.Serializer[Any]):
    """One period of a subscription: invoiced, simulated, and why they differ; or why it can't be simulated."""

    subscription_id = serializers.CharField(source="subscription.public_id")
    customer_id = serializers.CharField(source="customer.public_id")
    external_customer_id = serializers.CharField(source="customer.external_id")
    currency = serializers.CharField()
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    invoiced = serializers.SerializerMethodField()
    simulated = serializers.SerializerMethodField()
    change = serializers.SerializerMethodField()
    changes_sign = serializers.BooleanField()
    exceeds_limit = serializers.BooleanField()
    problem = serializers.CharField(help_text="Blank for a period.")
    lines = serializers.SerializerMethodField()
    parts = serializers.SerializerMethodField(help_text="They add up to the change.")

    def get_invoiced(self, row: SimulationInvoice) -> str:
        return money(row.invoiced, row.currency)

    def get_simulated(self, row: SimulationInvoice) -> str:
        return money(row.simulated, row.currency)

    def get_change(self, row: SimulationInvoice) -> str:
        return money(row.change, row.currency)

    @extend_schema_field(SimulatedLineOut(many=True))
    def get_lines(self, row: SimulationInvoice) -> Any:
        names = ("kind", "name", "invoiced", "simulated")
        return SimulatedLineOut([dict(zip(names, line, strict=True)) for line in row.lines], many=True).data

    @extend_schema_field(SimulatedPartOut(many=True))
    def get_parts(self, row: SimulationInvoice) -> Any:
        names = ("cause", "name", "amount", "before", "after")
        return SimulatedPartOut([dict(zip(names, part, strict=True)) for part in row.parts], many=True).data


class SimulationFilter(filters.FilterSet):
    state = ManyFilter(field_name="state", help_text="running, finished, canceled.")
    started_at_gte = MomentFilter(field_name="started_at", lookup_expr="gte")
    started_at_lte = MomentFilter(field_name="started_at", lookup_expr="lte")

    class Meta:
        model = Simulation
        fields: ClassVar[list[str]] = []


class SimulatedPeriodFilter(filters.FilterSet):
    external_customer_id = filters.CharFilter(field_name="customer__external_id")
    subscription_id = filters.CharFilter(field_name="subscription__public_id")
    currency = filters.CharFilter(field_name="currency", lookup_expr="iexact")
    changes_sign = filters.BooleanFilter()
    exceeds_limit = filters.BooleanFilter()
    has_problem = filters.BooleanFilter(
        method="with_problem", label="True: only subscriptions that can't be simulated. False: only periods."
    )

    class Meta:
        model = SimulationInvoice
        fields: ClassVar[list[str]] = []

    def with_problem(self, rows: QuerySet[SimulationInvoice], name: str, value: bool) -> QuerySet[SimulationInvoice]:
        return rows.exclude(problem="") if value else rows.filter(problem="")


class Simulations(ApiView):
    """Start a simulation, or list simulations, latest first."""

    write_scope = WRITE

    @operation(
        "listSimulations",
        "List simulations",
        tag=TAG,
        answers={200: listed("SimulationList", SimulationOut)},
        filters=SimulationFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, simulations().order_by("-started_at", "-pk"), SimulationFilter, SimulationOut)

    @operation(
        "startSimulation",
        "Start a simulation",
        refusals="Name at most one of `plan_version` and `coupon_id`. `selection` has a `plan_id`, or a `metadata_key` "
        "with its `metadata_value`, or `subscription_ids`. At least one live subscription must be selected.",
        tag=TAG,
        body=SimulationIn,
        answers={202: SimulationOut},
        errors=(400, 404),
        example={"periods": 3, "limit_percent": "20.00"},
        description="Calculates the last invoiced periods of the subscriptions again, in the background. Retrieve the "
        "simulation to follow its progress. Nothing is invoiced or changed.",
    )
    def post(self, request: Request) -> Response:
        inputs = _read_inputs(read_body(request, SimulationIn))
        simulation = start_simulation(inputs, now=timezone.now(), by=None)
        enqueue_simulations()
        return Response(SimulationOut(simulation).data, status=202)


class OneSimulation(ApiView):
    """Retrieve a simulation with its progress and results."""

    @operation("getSimulation", "Retrieve a simulation", tag=TAG, answers={200: SimulationOut}, errors=(404,))
    def get(self, request: Request, simulation_id: str) -> Response:
        return Response(SimulationOut(simulation_of(simulation_id)).data)


class SimulationCancellation(ApiView):
    """Cancel a running simulation. A finished one stays finished."""

    write_scope = WRITE

    @operation("cancelSimulation", "Cancel a simulation", tag=TAG, answers={200: SimulationOut}, errors=(404,))
    def post(self, request: Request, simulation_id: str) -> Response:
        simulation = cancel_simulation(simulation_of(simulation_id), now=timezone.now(), by=None)
        return Response(SimulationOut(simulation).data)


class SimulationResults(ApiView):
    """List the periods that a simulation calculated, ordered by subscription and period."""

    @operation(
        "listSimulationResults",
        "List the results of a simulation",
        tag=TAG,
        answers={200: listed("SimulatedPeriodList", SimulatedPeriodOut)},
        filters=SimulatedPeriodFilter,
        errors=(400, 404),
    )
    def get(self, request: Request, simulation_id: str) -> Response:
        rows = simulation_of(simulation_id).invoices.select_related("subscription", "customer").order_by("pk")
        return page(request, rows, SimulatedPeriodFilter, SimulatedPeriodOut)


def simulations() -> QuerySet[Simulation]:
    return Simulation.objects.select_related("version__plan", "coupon")


def simulation_of(simulation_id: str) -> Simulation:
    return get_or_404(simulations(), "simulation", public_id=simulation_id)


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    currency = row["currency"]
    amounts = {name: money(Decimal(row[name]), currency) for name in AMOUNTS}
    causes = [{"cause": cause, "amount": money(Decimal(amount), currency)} for cause, amount in row["causes"]]
    return {**row, **amounts, "causes": causes}


def _read_inputs(body: dict[str, Any]) -> SimulationInputs:
    version, coupon_id = body.get("plan_version"), body.get("coupon_id")
    if version and coupon_id:
        raise invalid({"coupon_id": ["Name either a plan version or a coupon."]})
    return SimulationInputs(
        version=_version_of(version) if version else None,
        coupon=coupon_of(coupon_id) if coupon_id else None,
        replaces_agreed=body["replaces_agreed_terms"],
        periods=body["periods"],
        limit_percent=body.get("limit_percent"),
        **_read_selection(body.get("selection") or {}),
    )


def _version_of(named: dict[str, Any]) -> PlanVersion:
    versions = PlanVersion.objects.filter(plan=plan_of(named["plan_id"])).select_related("plan")
    if named.get("version"):
        return get_or_404(versions, "plan version", number=str(named["version"]))
    return get_or_404(versions, "draft of the plan", state=VersionState.DRAFT)


def _read_selection(selection: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in ("plan_id", "metadata_key", "subscription_ids") if selection.get(name)]
    if len(names) > 1:
        raise invalid({"selection": ["Select by plan, by metadata or by IDs, not by several of them."]})
    if ("metadata_key" in selection) != ("metadata_value" in selection):
        raise invalid({"selection": ["Name both metadata_key and metadata_value."]})
    if "plan_id" in selection:
        return {"plan": plan_of(selection["plan_id"])}
    if "metadata_key" in selection:
        return {"segment": (selection["metadata_key"], selection["metadata_value"])}
    return {"listed": selection.get("subscription_ids", ())}
