"""The rules: which actions need approval. Relaxing a rule needs it, too, if someone else could approve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from auditlog.context import disable_auditlog
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from config.approvals.gate import Action, require_approval
from config.approvals.kinds import ApprovalKind, Operation, RuleMode
from config.approvals.models import EXPIRES_DAYS, Approval, ApprovalRule
from config.approvals.operations import register
from config.approvals.people import person_of
from config.approvals.requests import DECIDE
from config.audit import recorded
from config.inputs import LARGEST, is_number

CHANGE = "config.change_approvalrule"
LOOSENESS = {RuleMode.ALWAYS: 0, RuleMode.ABOVE: 1, RuleMode.OFF: 2}


@dataclass(frozen=True, slots=True)
class Terms:
    """A rule's settings. `limits` are the largest amounts without approval, by currency."""

    mode: RuleMode
    limits: Mapping[str, Decimal] = field(default_factory=dict)
    expires_days: int = EXPIRES_DAYS


def install_rules() -> None:
    """Create the rules that are missing, switched off: one for each kind of action, except changes of rules."""
    with disable_auditlog():  # the change log holds what people change
        for kind in ApprovalKind:
            if kind != ApprovalKind.RULES:
                ApprovalRule.objects.get_or_create(kind=kind)


def install_after_migrate(**kwargs: Any) -> None:
    """Install the rules. Called after every `migrate`."""
    install_rules()


def change_rule(rule: ApprovalRule, terms: Terms, *, by: User | None, reason: str = "") -> ApprovalRule:
    """Change a rule. Relaxing it needs approval if anyone else could approve that. Raises `ValidationError`."""
    with transaction.atomic():
        locked = ApprovalRule.objects.select_for_update().get(pk=rule.pk)
        changed = _changed(locked, terms)
        if (changed.mode, changed.limits, changed.expires_days) == (locked.mode, locked.limits, locked.expires_days):
            return locked
        if is_looser(changed, than=locked) and other_owners(by):
            require_approval(_relaxation(locked, changed, reason), by=by, always=True)
        with recorded(by=by, reason=reason):
            changed.save(update_fields=["mode", "limits", "expires_days", "updated_at"])
        return changed


def _changed(rule: ApprovalRule, terms: Terms) -> ApprovalRule:
    changed = ApprovalRule.objects.get(pk=rule.pk)
    changed.mode, changed.expires_days = terms.mode, terms.expires_days
    is_limited = terms.mode == RuleMode.ABOVE
    limits = {currency: f"{Decimal(limit).normalize():f}" for currency, limit in sorted(terms.limits.items())}
    changed.limits = limits if is_limited else {}
    if is_limited and not rule.has_amount:
        raise ValidationError({"mode": "This action has no amount, so it needs approval always or never."})
    if is_limited and not limits:
        raise ValidationError({"limits": "Enter at least one limit, for example USD 1000."})
    changed.full_clean()
    return changed


def is_looser(rule: ApprovalRule, *, than: ApprovalRule) -> bool:
    """Return whether a rule lets any action pass that the other one doesn't.

    From "above USD 100", "above USD 200" is looser, and so is "above USD 100, EUR 100": before, every amount in EUR
    needed approval.
    """
    if rule.mode != than.mode:
        return LOOSENESS[RuleMode(rule.mode)] > LOOSENESS[RuleMode(than.mode)]
    return any(
        currency not in than.limits or Decimal(limit) > Decimal(than.limits[currency])
        for currency, limit in rule.limits.items()
    )


def other_owners(user: User | None) -> list[User]:
    """List the colleagues, other than the user or those behind the request's API key, who can relax rules."""
    person = person_of(user)
    acting = person.colleagues | ({person.user.pk} if person.user else set()) if person else set()
    others = User.objects.filter(is_active=True, is_staff=True).exclude(pk__in=acting).order_by("pk")
    return [other for other in others if other.has_perms((CHANGE, DECIDE))]


def _relaxation(rule: ApprovalRule, changed: ApprovalRule, reason: str) -> Action:
    inputs = {"mode": changed.mode, "limits": changed.limits, "expires_days": changed.expires_days, "reason": reason}
    return Action(
        Operation.CHANGE_RULE,
        [ApprovalKind.RULES],
        [rule],
        inputs | {"before": {"mode": rule.mode, "limits": rule.limits}},
        title=f"Relax the rule “{rule}”",
        effect=f"Needs approval: {rule.describe()} → {changed.describe()}.",
    )


def carry_out_relaxation(approval: Approval, now: datetime) -> ApprovalRule:
    """Change the rule as it was requested."""
    inputs = approval.inputs
    limits = {currency: Decimal(limit) for currency, limit in inputs["limits"].items()}
    terms = Terms(RuleMode(inputs["mode"]), limits, inputs["expires_days"])
    rule = ApprovalRule.objects.get(pk=approval.object_key)
    return change_rule(rule, terms, by=approval.requested_by, reason=inputs["reason"])


def read_limits(text: str) -> dict[str, Decimal]:
    """Read limits as they are typed: a currency and an amount on each line. Raises `ValidationError`.

    >>> read_limits("USD 1000\\nEUR 900.50")
    {'USD': Decimal('1000'), 'EUR': Decimal('900.50')}
    """
    limits: dict[str, Decimal] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        currency, _, amount = line.partition(" ")
        add_limit(limits, currency.upper(), amount.strip())
    return limits


def add_limit(limits: dict[str, Decimal], currency: str, amount: str) -> None:
    """Add a limit that was typed or sent. Raises `ValidationError` naming what is wrong with it."""
    is_code = len(currency) == 3 and currency.isascii() and currency.isalpha()
    if not is_code or not is_number(amount) or not 0 <= Decimal(amount) <= LARGEST:
        raise ValidationError(f"“{currency} {amount}”: enter a currency and an amount, for example USD 1000.")
    if currency in limits:
        raise ValidationError(f"{currency} has two limits.")
    limits[currency] = Decimal(amount)


def write_limits(limits: Mapping[str, str]) -> str:
    """Return limits as they are typed."""
    return "\n".join(f"{currency} {limit}" for currency, limit in sorted(limits.items()))


def register_operation() -> None:
    """Register how relaxing a rule is carried out, and what deciding about it requires."""
    register(Operation.CHANGE_RULE, carry_out_relaxation, permissions=(CHANGE,), scopes=("all",))
