"""Every list leaves out archived objects, and shows them when `status` asks for them."""

import pytest

from catalog.models import Plan
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
COUPON = {"name": "Ten", "coupon_code": "TEN", "type": "percentage", "percentage_off": "10", "cadence": "forever"}


def archived_customer(api):
    api.delete(f"customers/{make_customer().public_id}", status=204)


def archived_feature(api):
    api.delete(f"features/{make_feature().public_id}")


def archived_plan(api):
    api.post("plans", {"name": "Old"}, status=201)
    api.delete(f"plans/{Plan.objects.get().public_id}")


def archived_coupon(api):
    api.delete(f"coupons/{api.post('coupons', COUPON, status=201)['id']}")


def archived_tax(api):
    rate = api.post("taxes/rates", {"code": "VAT", "name": "VAT", "percentage_value": "19"}, status=201)
    api.delete(f"taxes/rates/{rate['id']}", status=204)


@pytest.mark.parametrize(
    ("archive", "path"),
    [
        (archived_customer, "customers"),
        (archived_feature, "features"),
        (archived_plan, "plans"),
        (archived_coupon, "coupons"),
        (archived_tax, "taxes/rates"),
    ],
)
def test_an_archived_object_is_only_listed_by_its_status(api, archive, path):
    archive(api)
    totals = {
        query: api.get(f"{path}{query}")["pagination"]["total"]
        for query in ("", "?status=published", "?status=archived", "?status=published,archived", "?status=deleted")
    }
    assert list(totals.values()) == [0, 0, 1, 1, 0]
    if path != "taxes/rates":
        assert api.post(f"{path}/search", {})["pagination"]["total"] == 0
        assert api.post(f"{path}/search", {"status": "archived"})["pagination"]["total"] == 1


def test_lists_of_objects_that_are_never_archived_are_empty_for_that_status(api):
    for path in ("prices", "entitlements", "subscriptions", "invoices", "payments", "creditnotes"):
        assert api.get(f"{path}?status=archived")["items"] == []
