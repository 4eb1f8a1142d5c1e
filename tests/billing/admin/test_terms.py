"""The page that agrees terms with a subscription, its preview, and the deal on the subscription's page."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from catalog.models import Price
from catalog.selectors import Terms, prices_on_terms
from catalog.wording import describe_price
from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval
from config.approvals.people import Person
from config.approvals.requests import approve
from customers.subscriptions import cancel, get_phase_at
from tests.admin_pages import as_viewer, text_of, url
from tests.approving import colleague, require
from tests.factories import make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
D = Decimal


@pytest.fixture
def calls():
    return make_feature(name="Calls", unit_singular="call", unit_plural="calls")


@pytest.fixture
def subscription(calls):
    plan = make_version(
        {"kind": "fixed", "cadence": "advance", "name": "Seats", "unit_amount": D(10), "quantity": D(10),
         "quantity_maximum": D(50)},
        {"feature": calls, "unit_amount": D("0.10"), "position": 1},
        {"kind": "fixed", "cadence": "advance", "name": "Platform", "unit_amount": D(99), "position": 2},
        free_units={calls: D(100)},
        name="Team",
    )  # fmt: skip
    return make_subscription(plan=plan, starts_at=timezone.now() - timedelta(days=3))


def answers(client, subscription, **changes: object) -> dict[str, object]:
    """Return the page's form as it is, with these changes. A name ends with the charge's label."""
    response = client.get(url("billing_terms", subscription.pk))
    assert response.status_code == 200
    filled: dict[str, object] = {}
    for row in response.context["rows"]:
        for name in row.fields:
            value = changes.get(f"{name}_{row.price.label}", row[name].value())
            if value not in (None, False):
                filled[row.add_prefix(name)] = value
    rest = {"when": "now", "invoicing": "immediate", "reason": "Order 7"}
    return filled | rest | {name: value for name, value in changes.items() if "_" not in name or "-" in name}


def charged(subscription) -> list[str]:
    version = get_phase_at(subscription, timezone.now()).plan_version
    return [f"{price.label}: {describe_price(price)}" for price in prices_on_terms(version, Terms("USD", "month"))]


def test_the_page_shows_the_list_and_agrees_a_deal(staff_client, subscription):
    assert "List: $0.10 per call; per month" in text_of(staff_client.get(url("billing_terms", subscription.pk)))
    form = answers(
        staff_client,
        subscription,
        **{"unit_amount_Seats": "8", "quantity_Seats": "20", "model_Calls": "graduated", "is_charged_Platform": False,
           "tiers_Calls": "1000: 0.08\n: 0.05 + 2", "minimum_amount_Calls": "25", "included_Calls": "unlimited",
           "added-name": "Support", "added-unit_amount": "250"},
    )  # fmt: skip

    response = staff_client.post(url("billing_terms", subscription.pk), form)

    assert response.status_code == 302
    assert charged(subscription) == [
        "Seats: 20 × $8.00 per month, in advance",
        "Calls: Graduated: up to 1,000 at $0.08, then $0.05 + $2.00; at least $25.00; per month",
        "Support: $250.00 per month, in advance",
    ]
    deal = text_of(staff_client.get(url("billing_deal", subscription.pk)))
    assert "Seats 10 × $10.00 per month, in advance 20 × $8.00 per month, in advance" in deal
    assert "Platform $99.00 per month, in advance Not charged" in deal
    assert "Calls, included 100 calls free each billing period Unlimited" in deal
    # 10 × 10 + 99 = 199 by the list; 20 × 8 + 25 + 250 = 435 as agreed.
    assert "by the list: $199.00. As agreed: $435.00 . The deal is above the list." in deal
    # Nothing changes if the form is saved as it is.
    again = staff_client.post(url("billing_terms", subscription.pk), answers(staff_client, subscription))
    assert "Nothing is changed yet." in text_of(again)


def test_the_effect_is_shown_before_saving(staff_client, subscription):
    form = answers(staff_client, subscription, unit_amount_Seats="8", reason="", when="period_end")
    effect = text_of(staff_client.post(url("billing_terms_effect", subscription.pk), form))
    # 10 × 8 instead of 10 × 10, for the next period.
    assert "$20.00 less" in effect
    assert charged(subscription)[0] == "Seats: 10 × $10.00 per month, in advance"
    assert "Nothing is changed yet." in text_of(
        staff_client.post(url("billing_terms_effect", subscription.pk), answers(staff_client, subscription))
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity_Seats": "51"}, "Seats allows at least 0 and at most 50, not 51."),
        ({"unit_amount_Seats": ""}, "Enter an amount."),
        ({"model_Calls": "graduated", "tiers_Calls": "a lot"}, "isn’t a tier"),
        ({"model_Calls": "graduated", "tiers_Calls": "5: 1"}, "the last tier must be unlimited"),
        ({"included_Calls": "some"}, "Enter a number, or “unlimited”."),
        ({"added-name": "Support"}, "Enter an amount."),
        ({"when": "date"}, "Enter a date."),
    ],
)
def test_what_cannot_be_agreed_is_explained(staff_client, subscription, changes, message):
    response = staff_client.post(url("billing_terms", subscription.pk), answers(staff_client, subscription, **changes))
    assert message.replace("’", "'") in text_of(response)
    assert not Price.objects.exclude(listed=None).exists()


def test_prices_wait_for_approval_and_quantities_do_not(staff_client, subscription, staff_user):
    require(ApprovalKind.PRICES)

    staff_client.post(url("billing_terms", subscription.pk), answers(staff_client, subscription, unit_amount_Seats="8"))
    assert charged(subscription)[0] == "Seats: 10 × $10.00 per month, in advance"
    approval = Approval.objects.get()
    assert approval.operation == "subscription.agree_terms"
    approver, _ = colleague()
    approve(approval, now=timezone.now(), by=Person(approver))
    assert charged(subscription)[0] == "Seats: 10 × $8.00 per month, in advance"

    staff_client.post(url("billing_terms", subscription.pk), answers(staff_client, subscription, quantity_Seats="12"))
    assert charged(subscription)[0] == "Seats: 12 × $8.00 per month, in advance"


def test_viewers_see_the_deal_and_not_the_form(subscription):
    viewer = as_viewer("customers")
    assert viewer.get(url("billing_terms", subscription.pk)).status_code == 403
    assert viewer.get(url("billing_deal", subscription.pk)).status_code == 200


def test_usage_before_and_after_the_deal_is_named_by_its_first_day(staff_client, subscription):
    staff_client.post(url("billing_terms", subscription.pk), answers(staff_client, subscription, included_Calls="500"))
    response = staff_client.get(url("billing_usage_by_day", subscription.pk))
    days = [subscription.started_at, timezone.now()]
    assert [chart.tab for chart in response.context["charts"]] == [f"Calls, from {day:%Y-%m-%d}" for day in days]


@pytest.mark.parametrize("page", ["billing_terms", "billing_phases"])
def test_the_terms_of_an_ended_subscription_cannot_change(staff_client, subscription, page):
    now = timezone.now()
    cancel(subscription, at=now, now=now, by=None)
    shown = staff_client.get(url(page, subscription.pk))
    assert "The subscription has ended, so its terms can't change." in text_of(shown)
    assert "Agree</button>" not in shown.content.decode()
    assert "hx-post" not in re.search(r"<form[^>]*novalidate.*?</form>", shown.content.decode(), re.DOTALL)[0]
    assert "has ended" in text_of(staff_client.post(url(page, subscription.pk), {"reason": "Order 7"}))
    assert staff_client.post(url(f"{page}_effect", subscription.pk), {"reason": "Order 7"}).status_code == 200
