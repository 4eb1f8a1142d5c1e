"""Simulations in the admin: start and cancel one, its results, one period, and the files."""

import csv
import io

import pytest
from django.urls import reverse

from billing.models import Simulation
from billing.simulation.running import SimulationInputs, start_simulation
from tests.admin_pages import submit, text_of, url
from tests.billing.admin.test_invoices import staff_with
from tests.billing.api.test_simulations import OCTOBER, plan  # noqa: F401  the company
from tests.billing.simulations import simulate_to_end
from tests.billing.world import D

pytestmark = pytest.mark.django_db
LIST = "/admin/billing/simulation/"


@pytest.fixture
def draft(plan):  # noqa: F811
    return plan.versions.get(state="draft")


def answers(draft, **values):
    return {"what": f"version:{draft.pk}", "selection": "own", "periods": "3"} | values


def finished(draft):
    inputs = SimulationInputs(version=draft, plan=draft.plan, limit_percent=D(5))
    return simulate_to_end(start_simulation(inputs, now=OCTOBER, by=None), now=OCTOBER)


def test_a_simulation_is_started_from_a_version_and_canceled(staff_client, staff_user, draft):
    assert "No simulations yet" in text_of(staff_client.get(LIST))
    dialog = staff_client.get(url("catalog_planversion_simulate", draft.pk), follow=True).content.decode()
    assert f'<option value="version:{draft.pk}" selected>Team v2</option>' in dialog
    submit(staff_client, reverse("admin:billing_simulation_start"), **answers(draft, limit_percent="12.5"))
    simulation = Simulation.objects.get()
    assert (simulation.title, simulation.plan, simulation.started_by) == ("Team v2", draft.plan, staff_user)
    assert (simulation.limit_percent, simulation.selection) == (D("12.5"), "plan")
    assert "Calculating · 0 of 1 subscriptions" in text_of(staff_client.get(simulation.get_absolute_url()))
    submit(staff_client, url("billing_simulation_cancel", simulation.pk))
    assert "Canceled · 0 of 1 subscriptions" in text_of(staff_client.get(simulation.get_absolute_url()))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"selection": "segment", "segment": "gold"}, "such as tier=gold"),
        ({"selection": "list"}, "Enter at least one subscription ID"),
        ({"selection": "list", "listed": "subs_x"}, "There is no subscription subs_x"),
        ({"periods": "25"}, "less than or equal to 24"),
        ({"what": "version:0"}, "Select a valid choice"),
    ],
)
def test_the_dialog_says_what_to_fix(staff_client, draft, values, message):
    response = submit(staff_client, reverse("admin:billing_simulation_start"), **answers(draft, **values))
    assert message in text_of(response)
    assert not Simulation.objects.exists()


def test_the_page_shows_totals_changes_and_causes(staff_client, draft):
    simulation = finished(draft)
    shown = text_of(staff_client.get(simulation.get_absolute_url()))
    for text in (
        "Finished · 1 of 1",
        "$35.00",
        "$30.00",
        "-$5.00",
        "Prices",
        "Largest decreases",
        "Acme",
        "Limit 5.00%",
    ):
        assert text in shown, text
    row = simulation.invoices.get()
    shown = text_of(staff_client.get(url("billing_simulationinvoice_change", row.pk)))
    for text in ("Platform", "Recurring fee", "$25.00", "Why the total differs", "Prices"):
        assert text in shown, text
    assert "Team v2" in text_of(staff_client.get(LIST))


def test_periods_are_filtered_and_downloaded(staff_client, draft):
    simulation = finished(draft)
    periods = f"/admin/billing/simulationinvoice/?simulation__id__exact={simulation.pk}"
    for outcome, is_there in (("less", True), ("limit", True), ("more", False), ("sign", False), ("problem", False)):
        assert ("Acme" in text_of(staff_client.get(f"{periods}&outcome={outcome}"))) is is_there
    content = b"".join(staff_client.get(f"{periods}&_export=csv").streaming_content).decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(content))
    assert (row["customer"], row["invoiced"], row["simulated"], row["change"]) == ("Acme", "35.00", "30.00", "-5.00")
    assert row["causes"] == "price: Platform -5"
    assert staff_client.get(f"{periods}&_export=xlsx").status_code == 200


def test_only_staff_with_the_permission_start_simulations(draft):
    viewer = staff_with("view_simulation", "view_simulationinvoice")
    assert viewer.get(LIST).status_code == 200
    assert submit(viewer, reverse("admin:billing_simulation_start"), **answers(draft)).status_code == 403
