"""Plan versions: prices and free tiers are edited in a draft, which publishing makes permanent."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import models, transaction

from catalog.models import Entitlement, Plan, PlanVersion, Price, PriceTier
from catalog.models.plans import PlanState, VersionState
from catalog.validation import find_publishing_problems
from config.audit import recorded
from config.refusals import Refused


class PlanArchived(Refused):
    """The plan is archived: activate it first."""


class NothingPublished(Refused):
    """The plan has no published version, and no draft that can be published."""


@transaction.atomic
def get_or_create_draft(plan: Plan, *, by: User | None, held: bool = False) -> PlanVersion:
    """Return the plan's draft. If there is none, create one as a copy of the newest published version, or empty.

    A draft created with `held` is only published by hand; otherwise the next subscription publishes it too. An
    existing draft is returned unchanged. Raises PlanArchived.
    """
    plan = _lock_plan(plan)
    if draft := plan.versions.filter(state=VersionState.DRAFT).first():
        return draft
    if plan.state == PlanState.ARCHIVED:
        raise PlanArchived(f"{plan} is archived. Activate it before you change its prices.")
    newest = plan.versions.order_by("-number").first()
    draft = PlanVersion(plan=plan, number=newest.number + 1 if newest else 1, is_held=held)
    if newest:
        draft.trial_days = newest.trial_days
    with recorded(by=by, reason=f"Copied from version {newest.number}" if newest else ""):
        draft.save()
    if newest:
        copy_contents(newest, draft)
    return draft


@transaction.atomic
def publish(version: PlanVersion, *, now: datetime, by: User | None, reason: str = "") -> PlanVersion:
    """Make a draft permanent. New subscriptions use it from now on. A second call changes nothing.

    Raises PlanArchived, and one ValidationError that lists every problem of the prices and free tiers.
    """
    plan = _lock_plan(version.plan)
    locked = PlanVersion.objects.select_for_update().get(pk=version.pk)
    if not locked.is_published:
        if plan.state == PlanState.ARCHIVED:
            raise PlanArchived(f"{plan} is archived. Activate it before you publish a version.")
        if problems := find_publishing_problems(locked):
            raise ValidationError(problems)
        locked.state, locked.published_at, locked.published_by = VersionState.PUBLISHED, now, by
        with recorded(by=by, reason=reason or locked.note):
            locked.save()
    version.refresh_from_db()
    return version


@transaction.atomic
def get_published_version(plan: Plan, *, now: datetime, by: User | None) -> PlanVersion:
    """Return the version that a new subscription uses: the newest published one.

    A draft is published first, unless it is on hold. Raises NothingPublished, PlanArchived, and ValidationError for a
    draft that can't be published.
    """
    plan = _lock_plan(plan)
    newest = plan.versions.filter(state=VersionState.PUBLISHED).order_by("-number").first()
    draft = plan.versions.filter(state=VersionState.DRAFT).first()
    if draft is not None and not draft.is_held:
        return publish(draft, now=now, by=by, reason="Published for a new subscription")
    if newest is None:
        raise NothingPublished(f"{plan} has no published version. Add its prices, then publish it.")
    return newest


def _lock_plan(plan: Plan) -> Plan:
    return Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)


def copy_contents(source: PlanVersion, target: PlanVersion) -> None:
    """Copy the prices, tiers and free tiers of a version into a draft. Run in a transaction."""
    prices = list(source.prices.prefetch_related("tiers"))
    copies = Price.objects.bulk_create([_copy(price, version_id=target.pk) for price in prices])
    PriceTier.objects.bulk_create(
        _copy(tier, price_id=copy.pk) for price, copy in zip(prices, copies, strict=True) for tier in price.tiers.all()
    )
    Entitlement.objects.bulk_create(
        _copy(entitlement, version_id=target.pk) for entitlement in source.entitlements.all()
    )


def _copy[Row: models.Model](row: Row, **changes: Any) -> Row:
    """Copy a row's columns, except its ids and timestamps."""
    excluded = {"id", "public_id", "created_at", "updated_at"}
    values = {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in excluded
    }
    return type(row)(**values | changes)
