"""Reports and settings of billing through the API: month end, aging, upcoming invoices, progress, company, series."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.models import BillingState, CompanyProfile, Invoice
from billing.month_end import customer_ranges
from billing.month_end.months import Month
from billing.runs.billing_run import run_to_end
from catalog.publishing import publish
from tests.api import Api
from tests.factories import make_customer, make_draft, make_fee, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def invoice(db) -> Invoice:
    """Acme's finalized invoice of $10 in advance, 40 days ago, due 30 days later."""
    start = timezone.now() - timedelta(days=40)
    draft = make_draft()
    make_fee(version=draft)
    version = publish(draft, now=start, by=None)
    make_subscription(customer=make_customer(external_id="acme", name="Acme"), plan=version, starts_at=start, now=start)
    run_to_end(as_of=start)
    return Invoice.objects.get()


def test_a_month_end_report_has_revenue_receivables_and_tasks(api, invoice):
    api.post(f"invoices/{invoice.public_id}/finalize")
    this_month = str(Month.before(timezone.now()).next)
    report = api.get(f"month-ends/{this_month}")
    [books] = report["books"]
    assert (books["currency"], books["net"], books["balance"]["closing"]) == ("USD", "10.00", "10.00")
    assert books["revenue"][0]["charged"] == "10.00"
    assert all(check["agrees"] for check in books["checks"])
    assert "Drafts to finalize" in {task["name"] for task in report["tasks"]}
    assert (report["totals"]["events_counted"], report["running"]) == (0, None)
    api.get("month-ends/may", 404)


def test_a_month_end_of_many_customers_is_calculated_in_the_background(api, invoice, monkeypatch):
    monkeypatch.setattr("billing.month_end.latest.is_one_range", lambda: False)
    monkeypatch.setattr(customer_ranges, "SIZE", 1)
    assert api.get("month-ends/2026-03")["totals"] is None
    started = api.post("month-ends/2026-03/calculate", status=202)
    assert (started["running"]["customers"], started["running"]["done"]) == (1, 0)
    assert Api("read", "billing:write").post("month-ends/2026-03/calculate", status=202)["running"]["customers"] == 1


def test_receivables_are_listed_by_age(api, invoice):
    Invoice.objects.update(due_at=timezone.now() - timedelta(days=10))
    api.post(f"invoices/{invoice.public_id}/finalize")
    report = api.get("invoices/aging")
    [row] = report["items"]
    assert (row["external_customer_id"], row["total"], row["invoices"]) == ("acme", "10.00", 1)
    expected = {"current": "0.00", "1-30": "10.00", "31-60": "0.00", "61-90": "0.00", "over-90": "0.00"}
    assert row["amounts"] == expected == report["totals"][0]["amounts"]
    assert not report["has_more"]


def test_upcoming_invoices_are_listed_with_their_totals(api, invoice):
    [row] = api.get("invoices/upcoming", external_customer_id="acme")["items"]
    assert (row["total"], row["currency"], row["problem"]) == ("10.00", "USD", "")
    assert api.get("invoices/upcoming", external_customer_id="none")["items"] == []


def test_a_parked_subscription_is_billed_again(api, invoice):
    subscription_id = invoice.subscription.public_id
    now = timezone.now()
    BillingState.objects.update(parked_at=now, parked_reason="A test", retry_at=now + timedelta(days=1), attempts=3)
    [row] = api.get("runs/progress", is_parked=True)["items"]
    assert (row["subscription_id"], row["parked_reason"]) == (subscription_id, "A test")
    result = api.post("runs/progress/retry", {"subscription_ids": [subscription_id]})
    assert (result["failed"], result["items"][0]["parked_at"]) == (0, None)
    assert result["invoices"] >= 1
    api.post("runs/progress/retry", {"subscription_ids": ["subs_none"]}, 404)


def test_the_company_profile_is_read_and_updated(api, db):
    assert api.get("company")["address_country"] == ""
    changed = api.put("company", {"name": "Example GmbH", "address_country": "DE"})
    assert (changed["name"], changed["address_country"]) == ("Example GmbH", "DE")
    assert CompanyProfile.objects.get().name == "Example GmbH"
    assert "address_country" in api.put("company", {"address_country": "de"}, 400)["details"]
    Api("read", "billing:write").put("company", {"name": "Other"}, 403)


def test_number_series_are_created_and_made_default(api, invoice):
    created = api.post("number-series", {"name": "EU", "prefix": "EU-", "width": 4}, 201)
    assert (created["next_number"], created["is_default"]) == ("EU-0001", False)
    assert api.post(f"number-series/{created['id']}/default")["is_default"]
    assert api.post(f"invoices/{invoice.public_id}/finalize")["message"].endswith("EU-0001")
    refusal = api.put(f"number-series/{created['id']}", {"prefix": "NEW-"}, 400)
    assert refusal["code"] == "invalid_operation"
    assert api.put(f"number-series/{created['id']}", {"width": 5})["next_number"] == "EU-00002"
    assert "prefix" in api.post("number-series", {"name": "Bad", "prefix": "INV-1"}, 400)["details"]
    api.post("number-series", {"name": "EU", "prefix": "EU2-"}, 409)
    assert "EU" in {series["name"] for series in api.get("number-series", used_for="invoice")["items"]}
