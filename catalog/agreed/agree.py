"""Write agreed terms: a published version of their own, which shares what doesn't change."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from catalog.agreed.content import Content, make_item, make_tiers, read_content
from catalog.agreed.edits import TermsEdit
from catalog.models import Entitlement, PlanVersion, Price, SharedPrice
from catalog.models.plans import VersionState
from catalog.publishing import copy_row
from catalog.validation import find_problems_of_rows, find_repeated_prices
from config.audit import recorded


@transaction.atomic
def agree(
    version: PlanVersion,
    edits: Sequence[TermsEdit],
    *,
    agreed_for: str,
    changes: Iterable[str],
    now: datetime,
    by: User | None,
    reason: str,
) -> PlanVersion:
    """Return a version with the edits, agreed for a subscription, whose ID is `agreed_for`.

    `version` is a list version, or terms agreed before for the same subscription. `changes` are the keys of what is
    newly agreed at the version's start. Raises NotInTerms, QuantityNotAllowed, and one ValidationError that lists every
    problem of the prices and free tiers.
    """
    content = read_content(version)
    for edit in edits:
        edit.apply(content)
    agreed = make_version(version, content, agreed_for=agreed_for, changes=sorted(set(changes)))
    return publish_content(agreed, content, now=now, by=by, reason=reason)


def make_version(version: PlanVersion, content: Content, *, agreed_for: str, **columns: Any) -> PlanVersion:
    """Return an unsaved version for the content, derived from another version."""
    return PlanVersion(
        plan=version.plan,
        number=version.number,
        trial_days=version.trial_days,
        base=content.base,
        agreed_for=agreed_for,
        **columns,
    )


def publish_content(
    agreed: PlanVersion, content: Content, *, now: datetime, by: User | None, reason: str
) -> PlanVersion:
    """Save a version and its content. Raises one ValidationError that lists every problem."""
    _share_equal_prices(content, agreed.agreed_for)
    with recorded(by=by, reason=reason):
        agreed.save()
        problems = find_problems_of_rows(_save_prices(agreed, content), _save_free_tiers(agreed, content))
        problems += find_repeated_prices([item.price for item in content.items])
        if problems:
            raise ValidationError(problems)
        agreed.state, agreed.published_at, agreed.published_by = VersionState.PUBLISHED, now, by
        agreed.save()
    return agreed


def _share_equal_prices(content: Content, agreed_for: str) -> None:
    """Use prices that were agreed before with the subscription and are equal, so that they are the same price."""
    new = [item for item in content.items if item.is_new and item.price.listed_id is not None]
    before = Price.objects.filter(version__agreed_for=agreed_for, listed__in=[item.price.listed_id for item in new])
    known = [make_item(price) for price in before.prefetch_related("tiers").order_by("pk")] if new else []
    for item in new:
        same = (other for other in known if other.price.listed_id == item.price.listed_id and other.is_same(item))
        content.items[content.items.index(item)] = next(same, item)


def _save_prices(agreed: PlanVersion, content: Content) -> list[Price]:
    """Save new prices and share the others. Return the new ones."""
    new = [item for item in content.items if item.is_new]
    shared = [item.price for item in content.items if not item.is_new]
    for item in new:
        item.price.version = agreed
        item.price.full_clean(exclude=["version"])
        item.price.save()
        for tier in make_tiers(item):
            tier.full_clean(exclude=["price"])
            tier.save()
    SharedPrice.objects.bulk_create(SharedPrice(version=agreed, price=price) for price in shared)
    return [item.price for item in new]


def _save_free_tiers(agreed: PlanVersion, content: Content) -> list[Entitlement]:
    """Save the free tiers that aren't the list version's, and return the new ones."""
    saved = []
    for free_tier in content.free_tiers.values():
        if free_tier.version_id == content.base.pk:
            continue
        is_new = free_tier._state.adding
        row = free_tier if is_new else copy_row(free_tier)
        row.version = agreed
        row.full_clean(exclude=["version"])
        row.save()
        if is_new:
            saved.append(row)
    return saved
