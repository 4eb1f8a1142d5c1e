"""Billing runs through the API: start, progress, dry runs and findings."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.models import BillingRun, Invoice
from billing.tasks import bill_chunk, dry_run_chunk
from customers.models import Subscription
from tests.billing.world import D
from tests.factories import make_customer, make_subscription, make_version

pytestmark = pytest.mark.django_db
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(49), "feature": None}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let the workers' tasks run within the request."""
    monkeypatch.setattr("billing.tasks.transaction.on_commit", lambda call: call())
    for task in (bill_chunk, dry_run_chunk):
        monkeypatch.setattr(task, "delay", task)


@pytest.fixture
def acme(db):
    """Subscribe Acme yesterday: its opening of $49 is due."""
    start = timezone.now() - timedelta(days=1)
    customer = make_customer(external_id="acme", name="Acme")
    return make_subscription(customer=customer, plan=make_version(FEE), starts_at=start, now=start)


def test_a_billing_run_is_started_and_retrieved(api, acme):
    begun = api.post("runs", status=202)
    assert (begun["kind"], begun["state"], begun["subscriptions"]) == ("manual", "running", 1)
    read = api.get(f"runs/{begun['id']}")
    assert (read["state"], read["done"], read["invoices"], read["failed"]) == ("finished", 1, 1, 0)
    assert read["amounts"] == {"USD": "49.00"}
    assert Invoice.objects.get().run == BillingRun.objects.get()
    assert [run["id"] for run in api.get("runs")["items"]] == [begun["id"]]


def test_no_billing_run_is_created_if_nothing_is_due(api):
    answer = api.post("runs", status=200)
    assert (answer["id"], answer["state"], answer["invoices"]) == (None, "finished", 0)
    assert not BillingRun.objects.exists()


def test_a_dry_run_lists_expected_invoices_without_creating_them(api, acme):
    begun = api.post("runs", {"dry_run": True}, status=202)
    found = api.get(f"runs/{begun['id']}/findings")
    assert found["pagination"]["total"] == 1
    [item] = found["items"]
    assert (item["external_customer_id"], item["subscription_id"]) == ("acme", acme.public_id)
    assert (item["kind"], item["total"], item["change"], item["problem"]) == ("opening", "49.00", None, "")
    assert not Invoice.objects.exists()


def test_only_a_dry_run_accepts_a_future_time(api, acme):
    ahead = (timezone.now() + timedelta(days=60)).isoformat()
    begun = api.post("runs", {"dry_run": True, "as_of": ahead}, status=202)
    # The opening, and the advance fees of the two periods that begin within sixty days.
    assert api.get(f"runs/{begun['id']}")["amounts"] in ({"USD": "98.00"}, {"USD": "147.00"})
    refused = api.post("runs", {"as_of": ahead}, status=400)
    assert "Only a dry run accepts as_of" in refused["message"]
    far = (timezone.now() + timedelta(days=900)).isoformat()
    assert "at most a year ahead" in api.post("runs", {"dry_run": True, "as_of": far}, status=400)["message"]


def test_findings_are_filtered(api, acme):
    broken = make_subscription(customer=make_customer(), plan=make_version(FEE), starts_at=acme.started_at)
    Subscription.objects.filter(pk=broken.pk).update(interval="year")
    begun = api.post("runs", {"dry_run": True}, status=202)
    findings = f"runs/{begun['id']}/findings"
    [problem] = api.get(findings, has_problem="true")["items"]
    assert problem["subscription_id"] == broken.public_id
    assert (problem["kind"], problem["total"]) == ("", None)
    assert "has no prices in USD per year" in problem["problem"]
    [invoice] = api.get(findings, has_problem="false")["items"]
    assert invoice["subscription_id"] == acme.public_id


def test_runs_are_filtered_by_kind_and_state(api, acme):
    api.post("runs", {"dry_run": True}, status=202)
    api.post("runs", status=202)
    assert [run["kind"] for run in api.get("runs", kind="dry")["items"]] == ["dry"]
    assert [run["kind"] for run in api.get("runs", state="finished")["items"]] == ["manual", "dry"]
    assert api.get("runs", state="running")["items"] == []


def test_an_unknown_billing_run_is_not_found(api):
    assert api.get("runs/run_none", status=404)["message"] == "There is no billing run “run_none”."
    assert api.get("runs/run_none/findings", status=404)["http_status_code"] == 404
