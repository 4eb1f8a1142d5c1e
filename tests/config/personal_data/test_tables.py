"""The list of personal columns is complete: each text of a table that belongs to customers is in it, or named here."""

import pytest
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, JSONField, Model, TextField

from config.personal_data.tables import columns_of
from config.webhooks.models import WebhookMessage
from customers.models import Customer, Subscription

OWNERS = {"customers.customer", "customers.subscription", "billing.invoice", "billing.creditnote", "billing.wallet"}
# Numbers, ids, codes and calculations: what the books and the proofs of usage need.
NOT_PERSONAL = {
    "billing.creditnote": {"public_id", "number", "currency", "idempotency_key"},
    "billing.creditnoteline": {"public_id"},
    "billing.couponapplication": {"public_id"},
    "billing.creditgrant": {"public_id"},
    "billing.email": {"public_id", "currency", "provider_id", "attachment_name", "attachment_sha256"},
    "billing.einvoice": {"sha256"},
    "billing.invoice": {"public_id", "number", "currency", "seller"},
    "billing.invoiceline": {"public_id", "computation"},
    "billing.jointinvoice": {"public_id", "currency", "number"},
    "billing.lateadjustment": {"public_id", "currency", "again"},
    "billing.payment": {"public_id", "currency", "account", "idempotency_key"},
    "billing.proofrun": {"public_id"},
    "billing.reminder": {"public_id"},
    "billing.reminderpause": {"public_id"},
    "billing.runfinding": {"currency"},
    "billing.simulationinvoice": {"currency", "lines", "parts"},
    "billing.taxassignment": {"public_id", "currency"},
    "billing.wallet": {"public_id", "currency"},
    "billing.walletentry": {"public_id"},
    "customers.commitment": {"public_id"},
    "customers.customer": {"public_id", "external_id", "currency", "timezone"},
    "customers.customeralias": {"to_recount"},
    "customers.subscription": {"public_id", "currency", "timezone"},
    "customers.subscriptionaddon": {"public_id"},
    "events.usagealert": {"public_id"},
}
# Erased by steps of their own.
EVENTS = {"events.event", "events.inboxevent", "events.uniquevalue"}


def belongs_to_customers(model: type[Model]) -> bool:
    related = {field.related_model._meta.label_lower for field in model._meta.concrete_fields if field.related_model}
    return model._meta.label_lower in OWNERS or bool(related & OWNERS)


def texts_of(model: type[Model]) -> set[str]:
    kinds = (CharField, TextField, JSONField, ArrayField)
    return {field.name for field in model._meta.concrete_fields if isinstance(field, kinds) and not field.choices}


@pytest.mark.parametrize(
    "model", [model for model in apps.get_models() if belongs_to_customers(model)], ids=lambda model: model.__name__
)
def test_every_text_of_a_customers_table_is_personal_or_known_not_to_be(model):
    label = model._meta.label_lower
    if label not in EVENTS:
        assert texts_of(model) - columns_of(label) == NOT_PERSONAL.get(label, set())


def test_other_tables_have_no_personal_columns():
    assert columns_of(Customer._meta.label_lower) > {"name", "email", "address_line1", "tax_id"}
    assert columns_of(Subscription._meta.label_lower) == {"key", "metadata"}
    assert columns_of(WebhookMessage._meta.label_lower) == frozenset()
