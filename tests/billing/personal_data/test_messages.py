"""Webhook messages belong to a customer by ids, never by a name."""

import json

import pytest

from billing.personal_data.messages import ERASED_BODY, messages_about
from config.alarms.kinds import list_kinds
from config.alarms.models import Alarm
from config.webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from config.webhooks.names import WebhookEvent
from tests.billing.personal_data.anna import MARCH, NAME, erase
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def endpoint():
    return WebhookEndpoint.objects.create(url="https://hooks.example.com/", secret="whsec_dGVzdA==")


@pytest.fixture
def anna():
    return make_customer(name=NAME, external_id="draft")


def message(body, object_id="other_1", event_type=WebhookEvent.PROBLEM_OPENED):
    return WebhookMessage.objects.create(event_type=event_type, object_id=object_id, body=json.dumps(body))


def is_erased(row):
    row.refresh_from_db()
    return row.body == ERASED_BODY


@pytest.mark.parametrize("word", ["invoice", "email", "currency", "USD", "draft", "Pro", "Ben Smith"])
def test_a_customer_named_as_a_word_of_other_messages_neither_gets_nor_destroys_them(word, endpoint):
    ben = make_customer(name="Ben Smith", external_id="ben")
    attacker = make_customer(name=word, external_id=word)
    invoice = {"id": "inv_1", "status": "draft", "currency": "USD", "plan": "Pro", "customer_id": ben.public_id}
    customer = {"id": ben.public_id, "external_id": "ben", "name": "Ben Smith", "email": "ben@example.com"}
    other = message({"invoice": invoice | {"customer": customer}}, "inv_1", WebhookEvent.INVOICE_FINALIZED)
    delivery = WebhookDelivery.objects.create(message=other, endpoint=endpoint)
    assert list(messages_about(attacker)) == []
    erase(attacker)
    assert not is_erased(other)
    delivery.refresh_from_db()
    assert delivery.state == "pending"


def test_messages_with_an_id_of_the_customer_or_an_object_or_an_external_id_are_erased(anna):
    rows = [
        message({"wallet": {"customer_id": anna.public_id, "name": "Credit"}}),
        message({"customer": {"note": NAME}}, object_id=anna.public_id),
        message({"problem": {"external_customer_id": "draft", "reason": "unknown_feature"}}),
    ]
    assert [row["body"] for row in messages_about(anna)] == [row.body for row in rows]
    erase(anna)
    assert all(is_erased(row) for row in rows)


def test_an_id_in_the_metadata_of_another_customer_does_not_make_a_message_the_customers(anna):
    other = message({"invoice": {"customer_id": "cust_ben", "metadata": {"partner": anna.public_id}}})
    erase(anna)
    assert not is_erased(other)


def test_a_message_about_an_alarm_that_names_the_customer_is_erased(anna):
    times = {"opened_at": MARCH, "seen_at": MARCH}
    text = f"{anna.public_id}, {NAME}: the invoice differs."
    alarm = Alarm.objects.create(kind=list_kinds()[0][0], message=text, what_to_do="-", **times)
    opened = message({"alarm": {"message": text}}, alarm.public_id, WebhookEvent.ALARM_OPENED)
    erase(anna)
    assert is_erased(opened)
