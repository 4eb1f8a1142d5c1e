"""`among` matches the same rows as `in`, with one parameter for any number of ids."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer, Subscription
from tests.factories import make_customer, make_subscription

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("column", ["pk", "customer", "customer_id", "customer__pk", "customer__subscriptions"])
def test_among_matches_the_same_rows_as_in_for_keys_references_and_joins(column):
    rows = [make_subscription() for _ in range(3)]
    ids = [row.customer_id if column.startswith("customer") and column[-1] != "s" else row.pk for row in rows[:2]]
    matches = Subscription.objects.filter(**{f"{column}__among": ids})
    assert set(matches) == set(Subscription.objects.filter(**{f"{column}__in": ids})) == set(rows[:2])


def test_an_empty_list_matches_no_row():
    make_customer()
    assert not Customer.objects.filter(pk__among=[]).exists()
    assert Customer.objects.exclude(pk__among=[]).exists()


def test_any_collection_of_ids_is_one_parameter():
    customer = make_customer()
    for ids in ({customer.pk: "Acme"}, {customer.pk}, (customer.pk, 10**18)):
        with CaptureQueriesContext(connection) as captured:
            assert list(Customer.objects.filter(pk__among=ids)) == [customer]
        assert "ANY(" in captured[0]["sql"]


def test_an_id_that_is_no_integer_is_refused():
    with pytest.raises(ValueError, match="acme"):
        Customer.objects.filter(pk__among=["acme"])
