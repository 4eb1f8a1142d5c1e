"""Ids say whose a text is, names don't."""

import pytest

from billing.personal_data.identity import Identity
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann():
    return make_customer(name="Ann", email="ann@example.com", external_id="draft")


@pytest.mark.parametrize(
    ("content", "is_named"),
    [
        ({"external_customer_id": "draft"}, True),
        ({"problems": [{"external_customer_id": "draft"}]}, True),
        ({"status": "draft"}, False),
        ({"draft": "1", "name": "Ann"}, False),
        ({"metadata": {"external_customer_id": "draft"}}, False),
        ("draft", False),
        ([1, None, True], False),
    ],
)
def test_an_external_id_counts_only_where_events_have_it(ann, content, is_named):
    assert Identity(ann).is_named_in(content) is is_named


def test_the_customers_id_counts_as_a_value_not_as_a_key(ann):
    identity = Identity(ann)
    assert identity.is_named_in({"wallet": {"customer_id": ann.public_id}})
    assert not identity.is_named_in({ann.public_id: 1})


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("Ann", "Erased"),
        ("Anna and Joann", "Anna and Joann"),
        ("Ann's wallet, ann@example.com.", "Erased's wallet, Erased."),
        ("draft", "draft"),
    ],
)
def test_whole_words_are_replaced(ann, text, replaced):
    assert Identity(ann).replace_names(text) == replaced


def test_a_name_with_signs_is_replaced_as_it_is():
    customer = make_customer(name="Ann (B.)", email="", external_id="ann-b")
    assert Identity(customer).replace_names("Ann (B.) and Ann (B)") == "Erased and Ann (B)"
