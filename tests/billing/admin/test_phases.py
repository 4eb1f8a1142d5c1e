"""The page that enters phases of a deal at once, with the invoices to come."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.invoicing.upcoming import upcoming
from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval
from config.approvals.people import Person
from config.approvals.requests import approve
from customers.signals import invoice_start
from tests.admin_pages import text_of, url
from tests.approving import colleague, require
from tests.billing.world import D
from tests.factories import make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def start() -> datetime:
    """The first of next month: the subscription starts then."""
    return (timezone.now().replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC
    )


@pytest.fixture
def subscription(start):
    plan = make_version(
        {"kind": "fixed", "cadence": "advance", "name": "Seats", "unit_amount": D(10), "quantity": D(10)},
        {"kind": "fixed", "cadence": "advance", "name": "Platform", "unit_amount": D(100), "position": 1},
    )
    made = make_subscription(plan=plan, starts_at=start, now=timezone.now())
    invoice_start(made, now=timezone.now())
    return made


def month(start: datetime, number: int) -> datetime:
    months = start.month - 1 + number
    return start.replace(year=start.year + months // 12, month=months % 12 + 1)


def phases(subscription, start: datetime) -> dict[str, object]:
    """Three months at half price, then list; 50 seats from the third month on."""
    seats = subscription.phases.get().plan_version.prices.get(name="Seats").pk
    rows: list[dict[str, object]] = [
        {
            "charge": "all",
            "percent_off": "50",
            "first_day": f"{start:%Y-%m-%d}",
            "until": f"{month(start, 3):%Y-%m-%d}",
        },
        {"charge": seats, "quantity": "50", "first_day": f"{month(start, 2):%Y-%m-%d}"},
        {"charge": "all"},
    ]
    form = {"phases-TOTAL_FORMS": len(rows), "phases-INITIAL_FORMS": 0, "reason": "Order 7"}
    return form | {f"phases-{place}-{name}": value for place, row in enumerate(rows) for name, value in row.items()}


# By the list 10 × $10.00 + $100.00. Half of that; half of 50 × $10.00 + $100.00; then all of it.
TOTALS = [Decimal(100), Decimal(100), Decimal(300), Decimal(600), Decimal(600)]


def totals(subscription, start: datetime) -> list[Decimal]:
    return [invoice.total for invoice in upcoming(subscription.pk, now=month(start, 4)).earlier]


def test_phases_are_entered_at_once_and_previewed_as_invoices(staff_client, subscription, start):
    assert "Phases" in text_of(staff_client.get(url("billing_phases", subscription.pk)))
    form = phases(subscription, start)
    effect = staff_client.post(url("billing_phases_effect", subscription.pk), form)
    assert [row.after for _, _, row in effect.context["coming"][:5]] == TOTALS
    assert {row.before for _, _, row in effect.context["coming"]} == {Decimal(200)}
    assert totals(subscription, start) == [Decimal(200)] * 5

    assert staff_client.post(url("billing_phases", subscription.pk), form).status_code == 302
    assert totals(subscription, start) == TOTALS


def test_phases_need_one_approval_where_prices_do(staff_client, subscription, start):
    require(ApprovalKind.PRICES)
    staff_client.post(url("billing_phases", subscription.pk), phases(subscription, start))
    assert totals(subscription, start) == [Decimal(200)] * 5
    approver, _ = colleague()
    approve(Approval.objects.get(), now=timezone.now(), by=Person(approver))
    assert totals(subscription, start) == TOTALS


def test_a_row_that_is_not_complete_is_marked(staff_client, subscription, start):
    form = phases(subscription, start) | {"phases-1-charge": "all", "phases-2-percent_off": "10"}
    shown = text_of(staff_client.post(url("billing_phases", subscription.pk), form))
    assert "Choose the price that gets an amount or a quantity." in shown
    assert "Enter a day." in shown
