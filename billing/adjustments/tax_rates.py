"""Tax rates: made, archived, assigned to the company, a customer or a subscription."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from billing.models import TaxAssignment, TaxRate
from config.audit import recorded
from config.refusals import Refused
from customers.models import Customer, Subscription


class RateArchived(Refused):
    """The rate is archived: nobody pays it any more."""


def save_rate(rate: TaxRate, *, by: User | None, reason: str = "") -> TaxRate:
    """Check and write a tax rate. Raises `ValidationError`."""
    rate.full_clean()
    with recorded(by=by, reason=reason):
        rate.save()
    return rate


def set_archived(rate: TaxRate, *, at: datetime | None, by: User | None, reason: str = "") -> TaxRate:
    """Archive a rate at a moment, or (`None`) bring it back. Archived, it is as if nobody was assigned to it.

    Invoices worked out before keep it. As it should be already: nothing happens.
    """
    with transaction.atomic():
        locked = TaxRate.objects.select_for_update().get(pk=rate.pk)
        if (locked.archived_at is None) != (at is None):
            locked.archived_at = at
            with recorded(by=by, reason=reason):
                locked.save(update_fields=["archived_at", "updated_at"])
        return locked


def assign(
    rate: TaxRate,
    *,
    by: User | None,
    customer: Customer | None = None,
    subscription: Subscription | None = None,
    position: int | None = None,
    currency: str = "",
    metadata: dict[str, Any] | None = None,
    reason: str = "",
) -> TaxAssignment:
    """Have a customer or a subscription pay a tax; neither: everybody without own taxes.

    Without a position it comes after the owner's others. Assigned already: what is there is returned. Raises
    `RateArchived`.
    """
    with transaction.atomic():
        locked = TaxRate.objects.select_for_update().get(pk=rate.pk)
        if locked.archived_at is not None:
            raise RateArchived(f"{locked.code} is archived.")
        owned = TaxAssignment.objects.filter(customer=customer, subscription=subscription)
        there = owned.filter(rate=locked).first()
        if there is not None:
            return there
        last = owned.order_by("-position").first()
        after = last.position + 1 if last else 1
        with recorded(by=by, reason=reason):
            return TaxAssignment.objects.create(
                rate=locked, customer=customer, subscription=subscription, currency=currency,
                position=after if position is None else position, metadata=metadata or {},
            )  # fmt: skip


def unassign(assignment: TaxAssignment, *, by: User | None, reason: str = "") -> None:
    """End an assignment. Drafts that are recomputed, and invoices from now on, are without the tax."""
    with recorded(by=by, reason=reason):
        assignment.delete()
