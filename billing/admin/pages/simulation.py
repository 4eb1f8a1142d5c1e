"""One simulation's results as a fragment of its page, and one simulated period."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from billing.admin.pages.comparison import comparison_context
from billing.admin.shared import amount_formatter
from billing.explanation.comparison.chart import waterfall
from billing.explanation.comparison.values import Cause, Comparison, DifferencePart
from billing.kinds import LineKind
from billing.models import Simulation, SimulationInvoice
from billing.money import format_amount
from billing.simulation.results import BANDS
from billing.simulation.running import progress_of
from config.office.charts import Chart, ChartColor, Series
from config.office.pages import AdminView

MOST_SHOWN = 10


class SimulationPanel(AdminView):
    """Show the progress of a simulation. The page loads it every two seconds while the simulation continues."""

    template_name = "admin/billing/simulation/panel.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        simulation = get_object_or_404(Simulation.objects.select_related("started_by"), pk=kwargs["simulation_id"])
        return self.render(**panel_context(simulation))


def panel_context(simulation: Simulation) -> dict[str, Any]:
    """Collect what a simulation's page shows: its progress, and once it is finished its figures and largest changes."""
    url = reverse("admin:billing_simulationinvoice_changelist")
    return {
        "simulation": simulation,
        "progress": progress_of(simulation),
        "figures": [_format_figures(row) for row in simulation.results],
        "charts": [_bands_chart(row) for row in simulation.results if row["customers"]],
        "more": _largest(simulation, "-change"),
        "less": _largest(simulation, "change"),
        "problems": list(
            simulation.invoices.exclude(problem="").select_related("subscription", "customer")[:MOST_SHOWN]
        ),
        "rows_url": f"{url}?simulation__id__exact={simulation.pk}",
    }


def _format_figures(row: dict[str, Any]) -> dict[str, Any]:
    currency = row["currency"]
    names = ("invoiced", "simulated", "change", "p5", "p50", "p95", "lowest", "highest")
    amounts = {name: format_amount(Decimal(row[name]), currency) for name in names}
    causes = [(Cause(cause).label, format_amount(Decimal(amount), currency)) for cause, amount in row["causes"]]
    unchanged = row["customers"] - row["pay_more"] - row["pay_less"]
    return {**row, **amounts, "causes": causes, "unchanged": unchanged, "is_less": Decimal(row["change"]) < 0}


def _bands_chart(row: dict[str, Any]) -> Chart:
    colors = [*[ChartColor.GOOD] * 4, ChartColor.QUIET, *[ChartColor.CAUTION] * 5]
    return Chart(
        title="Customers by change of what they pay",
        heading="Change",
        labels=BANDS,
        series=[Series("Customers", row["bands"], colors)],
        tab=row["currency"],
        empty_text="No customer has an invoiced period.",
    )


def _largest(simulation: Simulation, order: str) -> list[SimulationInvoice]:
    if simulation.is_running:
        return []
    rows = simulation.invoices.filter(**{"change__gt" if order == "-change" else "change__lt": 0})
    return list(rows.select_related("subscription", "customer").order_by(order, "pk")[:MOST_SHOWN])


def period_context(row: SimulationInvoice) -> dict[str, Any]:
    """Collect what the page of a simulated period shows: its charges, and the parts of the change."""
    comparison = _read_comparison(row)
    write = amount_formatter(row.currency)
    return {
        "row": row,
        "lines": [_format_line(line, row.currency) for line in row.lines],
        "invoiced": write(row.invoiced),
        "simulated": write(row.simulated),
        "chart": waterfall(comparison, "Invoiced", "Simulated", title="Why the total differs"),
        **comparison_context(comparison),
    }


def _format_line(line: Sequence[str], currency: str) -> dict[str, Any]:
    kind, name, invoiced, simulated = line
    change = Decimal(simulated) - Decimal(invoiced)
    return {
        "kind": LineKind(kind).label,
        "name": name,
        "invoiced": format_amount(Decimal(invoiced), currency),
        "simulated": format_amount(Decimal(simulated), currency),
        "change": format_amount(change, currency) if change else "–",
        "is_less": change < 0,
    }


def _read_comparison(row: SimulationInvoice) -> Comparison:
    parts = [DifferencePart(Cause(cause), name, Decimal(amount), *texts) for cause, name, amount, *texts in row.parts]
    return Comparison(row.currency, row.invoiced, row.simulated, parts)
