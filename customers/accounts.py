"""Save, archive and activate customers, and map wrong external ids. Each change is audited and sends a signal."""

from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from catalog.signals import after_commit
from config.audit import recorded
from config.refusals import Refused
from customers.models import Customer, CustomerAlias, CustomerState
from customers.signals import customer_activated, customer_created, external_id_mapped


class CustomerHasSubscriptions(Refused):
    """The customer has subscriptions that haven't ended: cancel them first."""


class CustomerPays(Refused):
    """Other customers' invoices go to the customer, so it can't be archived."""


class PersonalDataIsErased(Refused):
    """The customer's personal data was erased: the customer can't be changed, activated or billed any more."""


class ExternalIdIsInUse(Refused):
    """The external id belongs to another customer, or can't change since events may carry it."""


@transaction.atomic
def save_customer(customer: Customer, *, by: User | None, reason: str = "") -> Customer:
    """Validate and save a new or edited customer. Events that arrived before a new customer was created then count.

    Raises ExternalIdIsInUse for a changed external id, and ValidationError, which says how to activate an archived
    customer with the external id of a new one.
    """
    before = Customer.objects.select_for_update(no_key=True).filter(pk=customer.pk).first() if customer.pk else None
    if before is not None and before.erased_at is not None:
        raise PersonalDataIsErased(f"The personal data of {before} was erased, so the customer can't change.")
    if before is not None and before.external_id != customer.external_id:
        raise ExternalIdIsInUse(
            f"The external id {before.external_id} can't change, since events carry it. "
            "Map the other id to the customer instead."
        )
    if before is None:
        _check_archived(customer)
    if customer.parent_id is not None:
        Customer.objects.select_for_update(no_key=True).get(pk=customer.parent_id)  # it could get a parent meanwhile
    customer.full_clean()
    with recorded(by=by, reason=reason):
        customer.save()
    if before is None:
        after_commit(customer_created, Customer, customer=customer, by=by)
    elif before.state == CustomerState.ARCHIVED and customer.state == CustomerState.ACTIVE:
        after_commit(customer_activated, Customer, customer=customer, by=by)
    return customer


def _check_archived(customer: Customer) -> None:
    """Refuse a new customer whose external id belongs to an archived one, and say how to get that one back."""
    archived = Customer.objects.filter(external_id=customer.external_id, state=CustomerState.ARCHIVED).first()
    if archived is not None:
        message = (
            f"{archived} has this external customer ID and is archived. Activate it: on its page in the admin, "
            f"or with POST /v1/customers/{archived.public_id}/activate."
        )
        raise ValidationError({"external_id": ValidationError(message, code="unique")})


@transaction.atomic
def archive_customer(customer: Customer, *, now: datetime, by: User | None, reason: str = "") -> Customer:
    """Stop counting the customer's events and refuse new subscriptions. Invoices stay. Safe to repeat.

    Raises CustomerHasSubscriptions while a subscription is live or scheduled to start, and CustomerPays while it pays
    for others.
    """
    # Locked, so that no subscription is created between the check and the commit.
    Customer.objects.select_for_update().get(pk=customer.pk)
    customer.refresh_from_db()
    if customer.state == CustomerState.ARCHIVED:
        return customer
    count = customer.subscriptions.filter(Q(ended_at=None) | Q(ended_at__gt=now)).count()
    if count:
        subscriptions = (
            "a subscription that hasn't ended" if count == 1 else f"{count} subscriptions that haven't ended"
        )
        raise CustomerHasSubscriptions(f"{customer} has {subscriptions}. Cancel first, then archive the customer.")
    if customer.children.filter(state=CustomerState.ACTIVE).exists():
        raise CustomerPays(f"{customer} pays for other customers. Have them pay for themselves first.")
    customer.state, customer.archived_at = CustomerState.ARCHIVED, now
    return save_customer(customer, by=by, reason=reason)


@transaction.atomic
def activate_customer(customer: Customer, *, by: User | None, reason: str = "") -> Customer:
    """Count an archived customer's events again. Events received in the meantime can be replayed. Safe to repeat."""
    customer.refresh_from_db()
    if customer.state == CustomerState.ACTIVE:
        return customer
    customer.state, customer.archived_at = CustomerState.ACTIVE, None
    return save_customer(customer, by=by, reason=reason)


@transaction.atomic
def map_external_id(alias: str, customer: Customer, *, by: User | None, reason: str = "") -> CustomerAlias:
    """Count events sent with the external id `alias` for the customer. Calling it again changes the customer.

    Raises ValidationError, and ExternalIdIsInUse if a customer has that external id.
    """
    if owner := Customer.objects.filter(external_id=alias).first():
        raise ExternalIdIsInUse(f"{alias} is the external id of {owner}, who would no longer receive these events.")
    mapping = CustomerAlias.objects.select_for_update().filter(alias=alias).first() or CustomerAlias(alias=alias)
    if mapping.pk and mapping.customer_id == customer.pk:
        return mapping
    if customer.erased_at is not None:
        raise PersonalDataIsErased(f"The personal data of {customer} was erased. Map the id to another customer.")
    mapping.customer, mapping.reason, mapping.created_by = customer, reason, by
    mapping.full_clean()
    with recorded(by=by, reason=reason):
        mapping.save()
    after_commit(external_id_mapped, CustomerAlias, alias=mapping, by=by)
    return mapping
