"""Time ranges in list filters: in the current time zone, with both edges included."""

import pytest

from tests.admin_pages import url
from tests.billing.invoices import make_draft
from tests.billing.world import bill, utc
from tests.factories import make_subscription, make_version

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("error::RuntimeWarning")]


def listed(staff_client, **query):
    return staff_client.get(url("billing_invoice_changelist", **query)).context_data["cl"].queryset.count()


@pytest.fixture
def two(db):
    """Two invoices: to 1 October, midnight, and to 1 November."""
    fee = {"kind": "fixed", "model": "flat", "cadence": "arrears", "unit_amount": 30}
    start = utc(2026, 9, 1)
    make_subscription(plan=make_version(fee).plan, starts_at=start, now=start)
    assert len(bill(utc(2026, 11, 1))) == 2
    make_draft("9")  # without a period


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"period_end_to_0": "2026-10-01", "period_end_to_1": "00:00:00"}, 1),
        ({"period_end_to_0": "2026-09-30", "period_end_to_1": "23:59:59"}, 0),
        ({"period_end_from_0": "2026-10-01", "period_end_from_1": "00:00:00"}, 2),
        ({"period_end_from_0": "2026-10-01", "period_end_from_1": "00:00:01"}, 1),
        ({"period_end_from_0": "2026-10-02"}, 1),
        ({"period_end_from_0": "2026-10-02", "period_end_to_0": "2026-10-31"}, 0),
        ({"period_end_from_0": "someday", "period_end_from_1": "00:00:00"}, 3),
        ({"period_end_from_1": "00:00:00"}, 3),
    ],
)
def test_both_edges_are_included_and_a_day_without_a_time_is_its_start(two, staff_client, query, count):
    assert listed(staff_client, **query) == count
