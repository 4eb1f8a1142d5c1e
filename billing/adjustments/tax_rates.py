"""Save and archive tax rates, and assign them to the company, a customer or a subscription."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from billing.models import TaxAssignment, TaxRate
from config.audit import recorded
from config.refusals import Refused
from customers.models import Customer, Subscription

TERMS = {"currency": "currency", "priority": "position", "metadata": "metadata"}  # the columns of terms


class RateArchived(Refused):
    """The rate is archived and can't be assigned."""


def save_rate(rate: TaxRate, *, by: User | None, reason: str = "") -> TaxRate:
    """Validate and save a tax rate. Raises `ValidationError`."""
    rate.full_clean()
    with recorded(by=by, reason=reason):
        rate.save()
    return rate


def set_archived(rate: TaxRate, *, at: datetime | None, by: User | None, reason: str = "") -> TaxRate:
    """Archive a rate at a moment, or restore it (`None`). An archived rate isn't charged to anyone it is assigned to.

    Existing invoices keep it. Nothing happens if the rate is in that state already.
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
    """Charge a tax to a customer or a subscription, or else to all customers without taxes of their own.

    By default the tax comes after the owner's other taxes. An existing assignment is returned; if its currency is
    another, or a given position or metadata, raises `ValidationError` with the field. Raises `RateArchived`.
    """
    with transaction.atomic():
        locked = TaxRate.objects.select_for_update().get(pk=rate.pk)
        if locked.archived_at is not None:
            raise RateArchived(f"{locked.code} is archived.")
        assignments = TaxAssignment.objects.filter(customer=customer, subscription=subscription)
        existing = assignments.filter(rate=locked).first()
        if existing is not None:
            _check_same_terms(existing, currency=currency, priority=position, metadata=metadata)
            return existing
        last = assignments.order_by("-position").first()
        after = last.position + 1 if last else 1
        with recorded(by=by, reason=reason):
            return TaxAssignment.objects.create(
                rate=locked,
                customer=customer,
                subscription=subscription,
                currency=currency,
                position=after if position is None else position,
                metadata=metadata or {},
            )


def _check_same_terms(assignment: TaxAssignment, **terms: Any) -> None:
    """Raise `ValidationError` for the first term that differs: a second assignment would charge the tax twice.

    A term of None is not compared.
    """
    for name, value in terms.items():
        current = getattr(assignment, TERMS[name])
        if value not in (None, current):
            text = f"{assignment.rate.code} is already assigned there with the {name} {current or 'none'}."
            hint = "End that assignment first." if name == "currency" else "Change that assignment instead."
            raise ValidationError({name: ValidationError(f"{text} {hint}", code="unique")})


def unassign(assignment: TaxAssignment, *, by: User | None, reason: str = "") -> None:
    """Delete an assignment. Drafts that are recalculated, and later invoices, don't charge the tax."""
    with recorded(by=by, reason=reason):
        assignment.delete()
