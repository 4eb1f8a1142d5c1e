import pytest
from django.core.exceptions import ValidationError

from customers import signals
from customers.accounts import (
    CustomerHasSubscriptions,
    ExternalIdIsInUse,
    activate_customer,
    archive_customer,
    map_external_id,
    save_customer,
)
from customers.models import Customer, CustomerAlias
from customers.subscriptions import cancel
from tests.factories import NOW, make_customer, make_subscription, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def signals_of(django_capture_on_commit_callbacks):
    """Run a change as if committed, and return the names of the signals that it sent."""

    def capture(change) -> list[str]:
        names: list[str] = []
        signal_names = ["customer_created", "customer_activated", "external_id_mapped"]
        receivers = {name: lambda name=name, **kwargs: names.append(name) for name in signal_names}
        for name, receiver in receivers.items():
            getattr(signals, name).connect(receiver)
        with django_capture_on_commit_callbacks(execute=True):
            change()
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)
        return names

    return capture


def test_a_new_customer_sends_a_signal_and_a_renamed_customer_sends_none(signals_of):
    customer = Customer(external_id="acme", name="Acme")

    assert signals_of(lambda: save_customer(customer, by=None)) == ["customer_created"]
    customer.name = "Acme Corp"
    assert signals_of(lambda: save_customer(customer, by=None)) == []


def test_an_activated_customer_sends_one_signal(signals_of):
    customer = archive_customer(make_customer(), now=NOW, by=None)
    assert customer.archived_at == NOW

    assert signals_of(lambda: activate_customer(customer, by=None)) == ["customer_activated"]
    assert signals_of(lambda: activate_customer(customer, by=None)) == []


def test_a_customer_with_live_subscriptions_is_not_archived():
    subscription = make_subscription(customer=make_customer(name="Acme"))

    with pytest.raises(CustomerHasSubscriptions, match="Acme has a subscription that hasn't ended"):
        archive_customer(subscription.customer, now=NOW, by=None)

    cancel(subscription, at=NOW, now=NOW, by=None)
    assert archive_customer(subscription.customer, now=NOW, by=None).state == "archived"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("timezone", "Mars/Olympus", "not a time zone"),
        ("currency", "usd", "three-letter ISO 4217 code"),
        ("external_id", " acme", "start or end with a space"),
        ("email", "nobody", "valid email"),
    ],
)
def test_an_invalid_customer_is_refused_with_a_message(field, value, message):
    customer = Customer(**{"external_id": "acme", "name": "Acme", field: value})

    with pytest.raises(ValidationError, match=message):
        save_customer(customer, by=None)


def test_an_external_id_never_changes():
    customer = make_customer(external_id="acme")
    customer.external_id = "acme-2"

    with pytest.raises(ExternalIdIsInUse):
        save_customer(customer, by=None)


def test_a_wrong_external_id_is_mapped_and_can_be_mapped_to_another_customer(signals_of):
    first, second, user = make_customer(), make_customer(), make_user()

    assert signals_of(lambda: map_external_id("ACME", first, by=user)) == ["external_id_mapped"]
    assert signals_of(lambda: map_external_id("ACME", first, by=user)) == []
    assert signals_of(lambda: map_external_id("ACME", second, by=user)) == ["external_id_mapped"]
    assert CustomerAlias.objects.get().customer == second


def test_the_external_id_of_a_customer_can_not_be_mapped():
    make_customer(external_id="acme", name="Acme")

    with pytest.raises(ExternalIdIsInUse, match="acme is the external id of Acme"):
        map_external_id("acme", make_customer(), by=None)
