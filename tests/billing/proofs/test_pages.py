"""Proofs are started by the buttons of pages and by the API, in the same words, and their results are shown by both."""

import json
import re

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from billing.models import ProofRun
from billing.month_end.months import Month
from billing.proofs.runs import prove_to_end
from billing.proofs.signing import public_key, verify_result
from tests.admin_pages import text_of
from tests.api import Api
from tests.billing.late import arrive, arrive_many, invoice_at
from tests.billing.proofs.proving import prove, prove_night
from tests.billing.world import D, utc
from tests.config.change_log.tampering import tamper
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER = utc(2026, 9, 1), utc(2026, 10, 1)
PROOFS = "/admin/billing/invoice/proofs/"
FORM = re.compile(r'<form[^>]*?action="([^"]+proofs/start/)"[^>]*>(.*?)</form>', re.S)
FIELD = re.compile(r'<input[^>]*name="(invoice|customer|month)"[^>]*value="([^"]*)"')


@pytest.fixture
def invoice():
    """Bill Acme's ten calls of September at $1.00."""
    calls = make_feature(name="API calls")
    plan = make_version({"feature": calls, "unit_amount": D(1)}, now=SEPTEMBER)
    make_subscription(customer=make_customer(name="Acme", external_id="acme"), plan=plan, starts_at=SEPTEMBER)
    arrive_many(10, utc(2026, 9, 20, 9))
    [invoice] = invoice_at(OCTOBER)
    return invoice


@pytest.fixture
def auditor():
    """Return a client signed in as an auditor."""
    user, client = make_user(username="ada@larkspur.example"), Client()
    user.groups.add(Group.objects.get(name="Auditor"))
    client.force_login(user)
    return client


def press(client, page, text):
    """Press the button with this text on a page, and return the page that opens."""
    content = client.get(page).content.decode()
    [(address, body)] = [(address, body) for address, body in FORM.findall(content) if text in body]
    return client.post(address, dict(FIELD.findall(body)), follow=True)


def test_an_auditor_proves_one_invoice_and_one_customer_by_the_buttons_of_their_pages(invoice, auditor):
    for page, text, scope in (
        (invoice.get_absolute_url(), "Prove this invoice", str(invoice)),
        (invoice.customer.get_absolute_url(), "Prove this customer", "Customer acme"),
    ):
        opened = text_of(press(auditor, page, text))
        assert f"Proving {scope}." in opened
        run = ProofRun.objects.latest("pk")
        assert (run.scope_name, run.is_nightly, run.started_by.username) == (scope, False, "ada@larkspur.example")
        prove_to_end(run, now=OCTOBER)
        results = text_of(auditor.get(run.get_absolute_url()))
        assert "by ada@larkspur.example" in results
        assert "Invoice lines recalculated Lines of invoices" in results


def test_an_auditor_proves_a_month_or_everything_on_the_proofs_page(invoice, auditor):
    auditor.post(f"{PROOFS}start/", {"month": "2026-09"})
    auditor.post(f"{PROOFS}start/")
    month, night = ProofRun.objects.order_by("pk")
    assert (month.scope_name, night.is_nightly) == ("September 2026", True)
    prove_to_end(month, now=OCTOBER)
    prove_to_end(night, now=OCTOBER)
    page = text_of(auditor.get(PROOFS))
    assert "September 2026" in page
    assert "Prove the month" in page
    assert "Enter the month as 2026-09." in text_of(auditor.post(f"{PROOFS}start/", {"month": "9/26"}, follow=True))
    assert ProofRun.objects.count() == 2


def test_a_viewer_reads_proofs_but_has_no_buttons(invoice):
    user, client = make_user(), Client()
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)
    run = prove_night(OCTOBER)
    assert "Invoice lines recalculated" in text_of(client.get(run.get_absolute_url()))
    for page in (PROOFS, invoice.get_absolute_url(), invoice.customer.get_absolute_url()):
        assert "proofs/start/" not in client.get(page).content.decode()
    assert client.post(f"{PROOFS}start/").status_code == 403


def test_a_difference_links_to_its_object_and_the_result_is_a_signed_file(invoice, auditor):
    tamper("UPDATE billing_invoiceline SET amount = 11")
    run = prove(OCTOBER, invoice=invoice)
    page = auditor.get(run.get_absolute_url())
    assert f'href="{invoice.get_absolute_url()}"' in page.content.decode()
    assert "Amount 11.00 10.00" in text_of(page)
    file = auditor.get(f"{run.get_absolute_url()}file/")
    assert verify_result(file.content, public_key())["differences"]


def test_a_month_that_doesnt_add_up_links_to_its_reconciliation(auditor):
    arrive(utc(2026, 9, 20, 9), customer="unheard-of")
    tamper("DELETE FROM events_problem")
    run = prove(OCTOBER, month=Month.named("2026-09").first)
    assert "/reconciliation/?month=2026-09" in auditor.get(run.get_absolute_url()).content.decode()


@pytest.mark.parametrize("scope", ["invoice_id", "customer_id", "month", None])
def test_the_api_starts_proofs_and_returns_their_results(invoice, scope):
    ids = {"invoice_id": invoice.public_id, "customer_id": invoice.customer.public_id, "month": "2026-09"}
    body = {scope: ids[scope]} if scope else {}
    api = Api()
    started = api.post("proofs", body, 202)
    assert {name: started[name] for name in ids} == dict.fromkeys(ids) | body
    assert api.post("proofs", body, 202)["id"] == started["id"]  # it isn't finished
    tamper("UPDATE billing_invoiceline SET amount = 11")
    run = prove_to_end(ProofRun.objects.get(public_id=started["id"]), now=OCTOBER)
    read = api.get(f"proofs/{run.public_id}")
    [lines] = [result for result in read["results"] if result["kind"] == "lines"]
    assert (lines["checked"], lines["proved"], lines["differing"], read["is_nightly"]) == (2, 0, 2, scope is None)
    assert read in api.get("proofs", is_nightly=scope is None)["items"]
    differences = api.get(f"proofs/{run.public_id}/differences", kind="lines", subject="line")["items"]
    assert [(item["figure"], item["stated"], item["calculated"]) for item in differences] == [
        ("Amount", "11.00", "10.00")
    ]
    assert verify_result(json.dumps(api.get(f"proofs/{run.public_id}/file"), default=str).encode(), public_key())


def test_the_api_says_why_proofs_cant_be_started_or_read(invoice):
    api = Api()
    both = {"invoice_id": invoice.public_id, "month": "2026-09"}
    assert set(api.post("proofs", both, 400)["details"]) == set(both)
    assert "month" in api.post("proofs", {"month": "2026-13"}, 400)["details"]
    api.post("proofs", {"invoice_id": "inv_none"}, 404)
    api.get("proofs/proof_none", 404)
    started = api.post("proofs", {"invoice_id": invoice.public_id}, 202)
    assert api.get(f"proofs/{started['id']}/file", 404)["message"] == "The proofs aren't finished."
