"""Describe what a draft changes compared with the published version."""

from dataclasses import dataclass

from catalog.models import PlanVersion
from catalog.models.plans import VersionState
from catalog.wording import describe_free_tier, describe_price


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the comparison. A blank `before` means added, a blank `after` removed."""

    subject: str
    before: str
    after: str


def differences(draft: PlanVersion) -> list[Difference]:
    """Compare a draft with the newest published version of its plan, if any. Prices are matched by name."""
    published = draft.plan.versions.filter(state=VersionState.PUBLISHED).order_by("-number").first()
    before = _contents(published) if published else {}
    after = _contents(draft)
    return [
        Difference(subject, before.get(subject, ""), after.get(subject, ""))
        for subject in [*after, *(removed for removed in before if removed not in after)]
        if before.get(subject) != after.get(subject)
    ]


def _contents(version: PlanVersion) -> dict[str, str]:
    lines: dict[str, str] = {}
    if version.trial_days:
        lines["Trial"] = f"{version.trial_days} days"
    for price in version.prices.select_related("feature").prefetch_related("tiers"):
        name = f"{price.label} ({price.currency})"
        lines[name] = f"{lines[name]}; {describe_price(price)}" if name in lines else describe_price(price)
    for entitlement in version.entitlements.select_related("feature"):
        lines[f"Free tier of {entitlement.feature}"] = describe_free_tier(entitlement)
    return lines
