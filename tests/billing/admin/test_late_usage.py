"""Late usage in the admin: the list, decisions with their preview, the policy, and corrected invoices."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from billing.models import LateLimit, LatePolicy
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from events.ledger.voiding import void_event
from events.models import Event
from tests.admin_pages import submit, text_of, url
from tests.billing.late import adjustments, arrive, arrive_many, invoice_at, work_late
from tests.billing.world import D, utc
from tests.factories import make_customer, make_feature, make_subscription, make_user, make_version

pytestmark = pytest.mark.django_db
SEPTEMBER, OCTOBER, NOVEMBER = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 11, 1)
IN_SEPTEMBER, IN_OCTOBER = utc(2026, 9, 20, 9), utc(2026, 10, 20, 9)
LIST = "admin:billing_lateadjustment_changelist"


@pytest.fixture
def subscription(db):
    calls = make_feature(name="API calls", unit_singular="call", unit_plural="calls")
    customer = make_customer(name="Acme", external_id="acme")
    version = make_version({"feature": calls, "unit_amount": D("0.25")})
    return make_subscription(customer=customer, plan=version, starts_at=SEPTEMBER, now=SEPTEMBER)


@pytest.fixture
def held(subscription):
    """Return an adjustment of +$1.00 that waits for approval."""
    LatePolicy.objects.create(more_due="hold")
    arrive_many(2, IN_SEPTEMBER)
    invoice_at(OCTOBER)
    arrive_many(4, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    return adjustments(subscription)[0]


def decide(client, action, *rows, **answers):
    return client.post(
        reverse(LIST), {"action": action, "_selected_action": [row.pk for row in rows], **answers}, follow=True
    )


def test_empty_list_explains_late_usage(staff_client):
    assert "If an event arrives, is voided or is replayed" in text_of(staff_client.get(reverse(LIST)))


def test_list_shows_open_amounts_and_the_sidebar_counts_adjustments_to_approve(staff_client, held):
    shown = text_of(staff_client.get(reverse(LIST)))
    for expected in ("Waiting for approval 1 · $1.00", "Acme", "API calls", "1–30 Sep 2026", "2 → 6", "$1.00 USD"):
        assert expected in shown
    response = staff_client.get(reverse("admin:index"))
    billing = next(section for section in response.context["sidebar_navigation"] if section["title"] == "Billing")
    assert next(item for item in billing["items"] if item["title"] == "Late usage")["badge"] == "1"


def test_list_uses_a_fixed_number_of_queries(staff_client, held, django_assert_max_num_queries):
    with django_assert_max_num_queries(22):
        staff_client.get(reverse(LIST))


def test_approving_shows_the_amount_first(staff_client, staff_user, held):
    shown = text_of(decide(staff_client, "approve_selected", held))
    assert "Approve 1 adjustment, $1.00: billed on the next invoice of each subscription" in shown
    held.refresh_from_db()
    assert held.state == "held"
    shown = text_of(decide(staff_client, "approve_selected", held, confirmed="yes"))
    assert "1 adjustment, $1.00: approved." in shown
    held.refresh_from_db()
    assert (held.state, held.decided_by) == ("waiting", staff_user)
    assert "1 will be skipped because of its state" in text_of(decide(staff_client, "approve_selected", held))


def test_waiving_requires_a_reason_and_can_be_reopened(staff_client, held):
    decide(staff_client, "ignore_selected", held, confirmed="yes", reason=" ")
    held.refresh_from_db()
    assert held.state == "held"
    decide(staff_client, "ignore_selected", held, confirmed="yes", reason="Our own outage")
    held.refresh_from_db()
    assert (held.state, held.reason) == ("ignored", "Our own outage")
    page = text_of(staff_client.get(reverse("admin:billing_lateadjustment_change", args=[held.pk])))
    for expected in ("Waived", "Our own outage", "corrects INV-000001", "$0.50 $1.50 $1.00", "6 × $0.25"):
        assert expected in page
    decide(staff_client, "take_up_selected", held, confirmed="yes")
    assert [adjustment.state for adjustment in adjustments(held.subscription)] == ["cancelled", "held"]


def test_one_adjustment_is_decided_on_its_page(staff_client, held):
    def decide_one(action, **answers):
        submit(staff_client, url(f"billing_lateadjustment_{action}_one", held.pk), **answers)
        return [adjustment.state for adjustment in adjustments(held.subscription)]

    page = text_of(staff_client.get(held.get_absolute_url()))
    assert "Approve" in page
    assert "Reopen" not in page
    assert decide_one("waive", reason="") == ["held"]
    assert decide_one("waive", reason="Our own outage") == ["ignored"]
    assert decide_one("reopen") == ["cancelled", "held"]
    held = adjustments(held.subscription)[1]
    assert decide_one("approve") == ["cancelled", "waiting"]


def test_viewers_cannot_decide(held):
    viewer = make_user()
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client = Client()
    client.force_login(viewer)
    assert client.get(reverse(LIST)).status_code == 200
    decide(client, "approve_selected", held, confirmed="yes")
    assert submit(client, url("billing_lateadjustment_approve_one", held.pk)).status_code == 403
    held.refresh_from_db()
    assert held.state == "held"
    assert client.post(reverse("admin:billing_latepolicy_change", args=[1]), {}).status_code == 403
    change = reverse("admin:billing_lateadjustment_change", args=[held.pk])
    assert (client.get(change).status_code, client.post(change, {}).status_code) == (200, 403)


def test_policy_is_one_page_with_a_limit_per_currency(staff_client):
    response = staff_client.get(reverse("admin:billing_latepolicy_changelist"), follow=True)
    assert response.status_code == 200
    limits = {
        "limits-TOTAL_FORMS": "1",
        "limits-INITIAL_FORMS": "0",
        "limits-0-policy": "1",
        "limits-0-currency": "USD",
        "limits-0-amount": "0.50",
    }
    page = reverse("admin:billing_latepolicy_change", args=[1])
    staff_client.post(page, {"more_due": "hold", "less_due": "credit_note", **limits})
    policy = LatePolicy.objects.get()
    assert (policy.more_due, policy.less_due) == ("hold", "credit_note")
    assert LateLimit.objects.get().amount == D("0.50")
    assert "Hold for approval" in text_of(staff_client.get(page))


def test_corrected_invoice_and_next_invoice_show_the_adjustment(staff_client, subscription):
    arrive_many(2, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    arrive_many(4, IN_SEPTEMBER)
    work_late(IN_OCTOBER)
    page = text_of(staff_client.get(september.get_absolute_url()))
    assert "Usage for this period changed after the invoice was calculated: $1.00 on the next invoice" in page
    [october] = invoice_at(NOVEMBER)
    assert f"$1.00 on {october}" in text_of(staff_client.get(september.get_absolute_url()))
    shown = text_of(staff_client.get(october.get_absolute_url()))
    for expected in (
        "Late usage of earlier periods",
        "late usage: 6 calls used, 2 invoiced on INV-000001: $1.50 instead of $0.50",
        "charged before: 2 = $0.50",
        "counted from 6 events instead of 2",
    ):
        assert expected in shown
    line = october.lines.get()
    proof = text_of(staff_client.get(reverse("admin:billing_line_proof", args=[line.pk])))
    assert "everything matches" in proof
    exported = staff_client.get(reverse("admin:billing_line_events", args=[line.pk]))
    assert len(b"".join(exported.streaming_content).splitlines()) == 7
    arrive(IN_SEPTEMBER)
    assert "the results differ" in text_of(staff_client.get(reverse("admin:billing_line_proof", args=[line.pk])))


def test_manually_credited_amount_is_shown_separately(staff_client, subscription):
    ids = arrive_many(8, IN_SEPTEMBER)
    [september] = invoice_at(OCTOBER)
    note = draft_credit_note(september, {september.lines.get().pk: D("1.25")}, reason="billing_error", by=None)
    finalize_credit_note(note, now=OCTOBER, by=None)
    for event in Event.objects.filter(event_id__in=ids):
        void_event(event, reason="A mistake", now=OCTOBER)
    work_late(IN_OCTOBER)
    [late] = adjustments(subscription)
    # $2.00 was charged, and $1.25 of it credited.
    for query, is_listed in ({}, True), ({"credited": "yes"}, True), ({"credited": "no"}, False):
        assert ("$1.25 USD -$0.75 USD" in text_of(staff_client.get(reverse(LIST), query))) is is_listed
    page = staff_client.get(reverse("admin:billing_lateadjustment_change", args=[late.pk]))
    assert "Credited manually Recalculated Difference" in text_of(page)
    assert "Amount $2.00 $1.25 $0.00 -$0.75" in text_of(page)
    notes = reverse("admin:billing_creditnote_changelist") + f"?q={september.number}"
    assert f'href="{notes}"' in page.content.decode()
    assert "CN-000001" in text_of(staff_client.get(notes))
