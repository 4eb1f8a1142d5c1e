"""`among` matches what `in` matches, with one parameter for any number of ids."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer, Subscription
from tests.factories import make_customer, make_subscription

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("column", ["pk", "customer", "customer_id", "customer__pk", "customer__subscriptions"])
def test_it_matches_the_same_rows_by_keys_references_and_joins(column):
    rows = [make_subscription() for _ in range(3)]
    wanted = [row.customer_id if column.startswith("customer") and column[-1] != "s" else row.pk for row in rows[:2]]
    found = Subscription.objects.filter(**{f"{column}__among": wanted})
    assert set(found) == set(Subscription.objects.filter(**{f"{column}__in": wanted})) == set(rows[:2])


def test_no_ids_match_no_rows():
    make_customer()
    assert not Customer.objects.filter(pk__among=[]).exists()
    assert Customer.objects.exclude(pk__among=[]).exists()


def test_any_collection_of_ids_is_one_parameter():
    customer = make_customer()
    for ids in ({customer.pk: "Acme"}, {customer.pk}, (customer.pk, 10**18)):
        with CaptureQueriesContext(connection) as captured:
            assert list(Customer.objects.filter(pk__among=ids)) == [customer]
        assert "ANY(" in captured[0]["sql"]


def test_ids_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="acme"):
        Customer.objects.filter(pk__among=["acme"])
