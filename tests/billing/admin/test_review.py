"""The review of drafts in the admin: search, large changes, holding and finalizing many, editing a draft."""

import pytest
from django.urls import reverse

from billing.lifecycle.review import DraftOrder, DraftSearch, DraftView, hold_many, largest_changes, percent_of
from billing.models import Invoice
from config.refusals import ReasonRequired
from tests.admin_pages import text_of
from tests.billing.invoices import later, make_draft, make_finalized
from tests.billing.world import D, bill, use, utc
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
REVIEW = "/admin/billing/invoice/review/"
NOW = later()


@pytest.fixture
def drafts():
    """September's drafts by customer, after $100 in August: Same $100, Fifth $120, More $120.50, Less $79."""
    calls = make_feature(name="API calls")
    version = make_version({"feature": calls, "unit_amount": D("0.50")})
    for name, september in (("Same", 200), ("Fifth", 240), ("More", 241), ("Less", 158)):
        customer = make_customer(name=name)
        make_subscription(customer=customer, plan=version, starts_at=utc(2026, 8, 1))
        use(customer, calls, utc(2026, 8, 5), 200)
        use(customer, calls, utc(2026, 9, 5), september)
    bill(utc(2026, 9, 1))
    Invoice.objects.update(state="draft", held_at=NOW, hold_reason="August is on hold")
    return {invoice.customer.name: invoice for invoice in bill(utc(2026, 10, 1))}


def names(**search):
    found = DraftSearch(**search).drafts().filter(period_end=utc(2026, 10, 1)).select_related("customer")
    return [draft.customer.name for draft in found]


def test_changes_over_20_percent_are_up_or_down_and_sorted(drafts):
    assert names(view=DraftView.CHANGED) == ["Less", "More"]
    assert names(order=DraftOrder.INCREASE) == ["More", "Fifth", "Same", "Less"]
    assert names(order=DraftOrder.DECREASE) == ["Less", "Same", "Fifth", "More"]
    assert names(order=DraftOrder.TOTAL) == ["More", "Fifth", "Same", "Less"]
    assert names(order=DraftOrder.CUSTOMER) == ["Fifth", "Less", "More", "Same"]


def test_first_invoices_have_no_change_to_chart(staff_client):
    make_draft("10")
    assert staff_client.get(REVIEW).context_data["charts"] == []


def test_a_customers_drafts_are_added_up_by_change(staff_client, drafts):
    [chart] = staff_client.get(REVIEW).context_data["charts"]
    assert (chart.tab, list(chart.labels)) == ("USD", ["Less", "More", "Fifth"])
    assert [list(series.values) for series in chart.series] == [[None, D("20.50"), 20], [D("-21"), None, None]]
    page = staff_client.get(chart.links[0])
    assert {row["invoice"].customer.name for row in page.context_data["rows"]} == {"Less"}
    more = drafts["More"].customer
    make_subscription(customer=more, plan=drafts["More"].lines.get().plan_version, starts_at=utc(2026, 8, 1))
    bill(utc(2026, 9, 1))
    use(more, drafts["More"].lines.get().feature, utc(2026, 9, 6), 10)
    bill(utc(2026, 10, 1))
    [more] = [row for row in largest_changes(DraftSearch().drafts()) if row.name == "More"]
    assert more.change == D("20.50") + D("25.50")  # the second subscription counts the same usage


@pytest.mark.parametrize(("before", "change", "percent"), [("100", "-21", -21), ("-10", "30", 300), ("0", "5", None)])
def test_percent_of_a_change_says_up_or_down(before, change, percent):
    assert percent_of(D(change), D(before)) == percent


def test_drafts_are_searched_by_customer_draft_id_and_po_number(drafts):
    more = drafts["More"]
    Invoice.objects.filter(pk=more.pk).update(po_number="PO 4711")
    assert names(text="mor") == names(text=more.public_id[-6:]) == names(text="4711") == ["More"]
    assert names(text=more.customer.external_id) == ["More"]
    assert names(text="nobody") == []
    assert DraftSearch(text="More").totals() == {"USD": D("220.50")}


def test_many_drafts_are_put_on_hold_with_one_reason_and_finalized_ones_are_skipped(staff_client):
    drafts, done = [make_draft("10"), make_draft("20")], make_finalized("30")
    form = {"action": "hold_selected", "_selected_action": [row.pk for row in (*drafts, done)]}
    question = text_of(staff_client.post(REVIEW, form))
    assert "$60.00" in question
    assert "This field is required" in text_of(staff_client.post(REVIEW, form | {"confirmed": "yes"}))
    answers = {"confirmed": "yes", "reason": "Prices are checked", "_form_submitted": "True"}
    page = text_of(staff_client.post(REVIEW, form | answers, follow=True))
    assert "2 drafts put on hold." in page
    assert set(Invoice.objects.drafts().values_list("hold_reason", flat=True)) == {"Prices are checked"}
    with pytest.raises(ReasonRequired):
        hold_many(drafts, reason=" ", now=NOW, by=None)


def test_all_matching_drafts_are_finalized_and_no_others(staff_client):
    for number in range(55):
        make_draft("1", customer=make_customer(name=f"Ada {number}"))
    other = make_draft("7", customer=make_customer(name="Bob"))
    page = text_of(staff_client.get(REVIEW, {"q": "Ada"}))
    assert "Select all 55 matching, $55.00" in page
    form = {"action": "finalize_selected", "all_matching": "yes"}
    preview = staff_client.post(f"{REVIEW}?q=Ada", form)
    assert "Finalize 55 invoices, $55.00" in text_of(preview)
    assert preview.content.count(b'name="_selected_action"') == 55
    staff_client.post(f"{REVIEW}?q=Ada", form | {"confirmed": "yes"})
    assert list(Invoice.objects.drafts()) == [other]


def test_nothing_selected_is_said_and_viewers_cannot_hold(staff_client, client):
    draft = make_draft("10")
    page = text_of(staff_client.post(REVIEW, {"action": "hold_selected"}, follow=True))
    assert "Select at least one draft." in page
    client.post(REVIEW, {"action": "hold_selected", "_selected_action": [draft.pk], "confirmed": "yes", "reason": "x"})
    draft.refresh_from_db()
    assert draft.held_at is None


def test_a_subscriptions_draft_is_edited_with_its_effect_shown(staff_client, staff_user, drafts):
    draft = drafts["Same"]
    url = reverse("admin:billing_edit_draft", args=[draft.pk])
    item = {"items-0-description": "Setup", "items-0-unit_amount": "50"}
    form = {"items-TOTAL_FORMS": "2", "items-INITIAL_FORMS": "0", "memo": "Thank you", "po_number": "PO 7", **item}
    effect = text_of(staff_client.post(reverse("admin:billing_draft_effect", args=[draft.pk]), form))
    assert "Total now $100.00" in effect
    assert "Total after saving $150.00" in effect
    page = text_of(staff_client.post(url, form, follow=True))
    assert "Setup" in page
    assert "PO 7" in page
    draft.refresh_from_db()
    assert (draft.total, draft.memo, draft.po_number) == (D(150), "Thank you", "PO 7")
    assert 'value="Setup"' in staff_client.get(url).content.decode()
