"""Plan versions: prices and free tiers are edited in a draft, which publishing makes permanent."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import models, transaction

from catalog.comparing import differences
from catalog.models import Entitlement, Plan, PlanVersion, Price, PriceTier
from catalog.models.plans import PlanState, VersionState
from catalog.signals import publishing_hooks
from catalog.validation import find_publishing_problems
from config.approvals.gate import Action, ApprovalNeeded, require_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.audit import recorded
from config.refusals import Refused

PERMANENT = "New subscriptions use these prices, and the version can't be changed anymore."


class PlanArchived(Refused):
    """The plan is archived: activate it first."""


class NoDraft(Refused):
    """The plan has no draft to publish."""


class NothingPublished(Refused):
    """The plan has no published version, and no draft that can be published."""


class PublishFirst(Refused):
    """The plan's draft needs approval before it can be used: publish it first."""


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

    Raises PlanArchived, one ValidationError that lists every problem of the prices and
    free tiers, what a hook raises, and ApprovalNeeded: also without a rule, if a hook has a reason for it.
    """
    plan = _lock_plan(version.plan)
    locked = PlanVersion.objects.select_for_update().get(pk=version.pk)
    if not locked.is_published:
        if plan.state == PlanState.ARCHIVED:
            raise PlanArchived(f"{plan} is archived. Activate it before you publish a version.")
        if problems := find_publishing_problems(locked):
            raise ValidationError(problems)
        concerns = [concern for hook in publishing_hooks for concern in hook(locked, now)]
        require_approval(_describe(locked, reason, concerns), by=by, always=bool(concerns))
        locked.state, locked.published_at, locked.published_by = VersionState.PUBLISHED, now, by
        with recorded(by=by, reason=reason or locked.note):
            locked.save()
    version.refresh_from_db()
    return version


def _describe(draft: PlanVersion, reason: str, concerns: Sequence[str]) -> Action:
    """Describe a draft to who decides about publishing it, with the differences from the published version."""
    changes = [
        f"{change.subject}: {change.before or 'new'} → {change.after or 'removed'}" for change in differences(draft)
    ]
    return Action(
        Operation.PUBLISH,
        [ApprovalKind.PRICES],
        [draft],
        {"reason": reason, "checksum": fingerprint(draft)},
        title=f"Publish {draft}",
        effect="\n".join([PERMANENT, *concerns, *changes]),
    )


def fingerprint(version: PlanVersion) -> str:
    """Return a hash of everything that a version charges, so that no other prices are published than were approved."""
    rows: list[models.Model] = [version, *version.prices.order_by("pk")]
    rows += PriceTier.objects.filter(price__version=version).order_by("pk")
    rows += version.entitlements.order_by("pk")
    return hashlib.sha256(json.dumps([_values(row) for row in rows]).encode()).hexdigest()


def _values(row: models.Model) -> list[str]:
    excluded = {"public_id", "created_at", "updated_at", "note", "is_held", "state", "published_at", "published_by"}
    return [str(field.value_from_object(row)) for field in row._meta.concrete_fields if field.name not in excluded]


@transaction.atomic
def publish_at_once(version: PlanVersion, *, now: datetime, by: User | None, reason: str) -> PlanVersion:
    """Publish a draft as a part of something else, which can't wait for approval: raises PublishFirst for that."""
    try:
        return publish(version, now=now, by=by, reason=reason)
    except ApprovalNeeded as needed:
        raise PublishFirst(f"Publishing {version} needs approval. Publish it first, on its page.") from needed


def get_newest_published(plan: Plan) -> PlanVersion:
    """Return the version that staff can sell: the newest published one. Raises NothingPublished."""
    newest = plan.versions.filter(state=VersionState.PUBLISHED).order_by("-number").first()
    if newest is None:
        raise NothingPublished(f"{plan} has no published version. Add its prices, then publish it.")
    return newest


@transaction.atomic
def publish_draft(plan: Plan, *, note: str = "", now: datetime, by: User | None) -> PlanVersion:
    """Publish the plan's draft, with a note of what changed. Raises NoDraft, and what `publish` raises."""
    draft = _lock_plan(plan).versions.filter(state=VersionState.DRAFT).first()
    if draft is None:
        raise NoDraft(f"{plan} has no draft. Change its prices or open a new version first.")
    return publish_with_note(draft, note=note, now=now, by=by)


@transaction.atomic
def publish_with_note(version: PlanVersion, *, note: str, now: datetime, by: User | None) -> PlanVersion:
    """Publish a draft, with a note of what changed that replaces its own. Raises what `publish` raises."""
    if note and not version.is_published:
        version.note = note
        version.save(update_fields=["note", "updated_at"])
    return publish(version, now=now, by=by, reason=note)


@transaction.atomic
def get_published_version(plan: Plan, *, now: datetime, by: User | None) -> PlanVersion:
    """Return the version that a new subscription uses: the newest published one.

    A draft is published first, unless it is on hold. Raises NothingPublished, PlanArchived, PublishFirst, and
    ValidationError for a draft that can't be published.
    """
    plan = _lock_plan(plan)
    draft = plan.versions.filter(state=VersionState.DRAFT).first()
    if draft is not None and not draft.is_held:
        return publish_at_once(draft, now=now, by=by, reason="Published for a new subscription")
    return get_newest_published(plan)


def _lock_plan(plan: Plan) -> Plan:
    return Plan.with_addons.select_for_update(no_key=True).get(pk=plan.pk)


def copy_contents(source: PlanVersion, target: PlanVersion) -> None:
    """Copy the prices, tiers and free tiers of a version into a draft. Run in a transaction."""
    prices = list(source.prices.prefetch_related("tiers"))
    copies = Price.objects.bulk_create([copy_row(price, version_id=target.pk) for price in prices])
    PriceTier.objects.bulk_create(
        copy_row(tier, price_id=copy.pk)
        for price, copy in zip(prices, copies, strict=True)
        for tier in price.tiers.all()
    )
    Entitlement.objects.bulk_create(
        copy_row(entitlement, version_id=target.pk) for entitlement in source.entitlements.all()
    )


def copy_row[Row: models.Model](row: Row, **changes: Any) -> Row:
    """Copy a row's columns, except its ids and timestamps."""
    excluded = {"id", "public_id", "created_at", "updated_at"}
    values = {
        field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in excluded
    }
    return type(row)(**values | changes)
