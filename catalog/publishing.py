"""Plan versions: a draft gathers prices and free tiers, publishing makes it permanent, the next draft is its copy."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import models, transaction

from catalog.models import Entitlement, Plan, PlanVersion, Price, PriceTier
from catalog.models.plans import PlanState, VersionState
from catalog.validation import faults_of
from config.audit import recorded
from config.refusals import Refused


class PlanArchived(Refused):
    """The plan is archived: activate it first."""


class NothingPublished(Refused):
    """The plan has no published version, and no draft that could become one."""


@transaction.atomic
def draft_of(plan: Plan, *, by: User | None, held: bool = False) -> PlanVersion:
    """Return the plan's draft. Where there is none, make one: a copy of the newest published version, or empty.

    A draft made `held` is published by hand only; one that is not, also by the next subscription. A draft that is
    there already stays as it is. Raises PlanArchived.
    """
    plan = _locked(plan)
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
        _copy_contents(newest, draft)
    return draft


@transaction.atomic
def publish(version: PlanVersion, *, now: datetime, by: User | None, reason: str = "") -> PlanVersion:
    """Make a draft permanent; new subscriptions take it from now on. A version that is published stays as it is.

    Raises one ValidationError that lists everything wrong with the prices and free tiers, and PlanArchived.
    """
    plan = _locked(version.plan)
    locked = PlanVersion.objects.select_for_update().get(pk=version.pk)
    if not locked.is_published:
        if plan.state == PlanState.ARCHIVED:
            raise PlanArchived(f"{plan} is archived. Activate it before you publish a version of it.")
        if faults := faults_of(locked):
            raise ValidationError(faults)
        locked.state, locked.published_at, locked.published_by = VersionState.PUBLISHED, now, by
        with recorded(by=by, reason=reason or locked.note):
            locked.save()
    version.refresh_from_db()
    return version


@transaction.atomic
def published_version(plan: Plan, *, now: datetime, by: User | None) -> PlanVersion:
    """Return the version that a subscription made now takes: the newest published one.

    A draft is published first, unless it is held back and an older version can serve. Raises NothingPublished,
    PlanArchived, and ValidationError for a draft that can't be published.
    """
    plan = _locked(plan)
    newest = plan.versions.filter(state=VersionState.PUBLISHED).order_by("-number").first()
    draft = plan.versions.filter(state=VersionState.DRAFT).first()
    if draft is not None and not draft.is_held:
        return publish(draft, now=now, by=by, reason="Published for a new subscription")
    if newest is None:
        raise NothingPublished(f"{plan} has no published version. Add its prices, then publish it.")
    return newest


def _locked(plan: Plan) -> Plan:
    return Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)


def _copy_contents(source: PlanVersion, target: PlanVersion) -> None:
    prices = list(source.prices.prefetch_related("tiers"))
    copies = Price.objects.bulk_create([_copy(price, version_id=target.pk) for price in prices])
    PriceTier.objects.bulk_create(
        _copy(tier, price_id=copy.pk) for price, copy in zip(prices, copies, strict=True) for tier in price.tiers.all()
    )
    Entitlement.objects.bulk_create(_copy(found, version_id=target.pk) for found in source.entitlements.all())


def _copy[Row: models.Model](row: Row, **changed: Any) -> Row:
    """Copy all columns but those that are a row's own: its ids and its time stamps."""
    own = {"id", "public_id", "created_at", "updated_at"}
    values = {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in own
    }
    return type(row)(**values | changed)
