"""The gate before actions that can need approval. Domain functions ask it right before they act.

with transaction.atomic():
    locked = lock_invoice(invoice)
    ...                                   # all checks, so that a request isn't made for what would be refused
    require_approval(Action(Operation.VOID_INVOICE, …), by=by)
    locked.state = InvoiceState.VOID      # the action
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model

from config.approvals.kinds import ApprovalKind, Operation
from config.approvals.models import Approval, ApprovalRule
from config.numbers import write_amounts
from config.refusals import Refused

NOT_IN_DIGEST = {"reason"}  # a second request with another reason is still the same action


@dataclass(frozen=True, slots=True)
class Action:
    """What is about to be done: the operation, the objects, its exact inputs as JSON, its amounts by currency.

    `kinds` are the rules that cover it. `title` and `effect` describe it to who decides. `objects` has one element,
    except for operations on many.
    """

    operation: Operation
    kinds: Sequence[ApprovalKind]
    objects: Sequence[Model]
    inputs: Mapping[str, Any]
    title: str
    effect: str = ""
    amounts: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def about(self) -> list[str]:
        """The objects, as stored in requests."""
        return [label_of(row) for row in self.objects]

    @property
    def stored_inputs(self) -> dict[str, Any]:
        """The inputs as they are read back from the database."""
        stored: dict[str, Any] = json.loads(json.dumps(dict(self.inputs), default=_as_text))
        return stored

    @property
    def stored_amounts(self) -> dict[str, str]:
        """The amounts as they are stored, with as many decimals as are needed."""
        return {currency: f"{amount.normalize():f}" for currency, amount in sorted(self.amounts.items())}

    @property
    def digest(self) -> str:
        """A hash that equal requests share: of the operation, objects, amounts, and inputs other than the reason."""
        inputs = {name: value for name, value in self.stored_inputs.items() if name not in NOT_IN_DIGEST}
        parts = [self.operation.value, self.about, inputs, self.stored_amounts]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _as_text(value: date | Decimal) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def label_of(row: Model) -> str:
    """Return the name of a row in `Approval.about`."""
    return f"{row._meta.label_lower}:{row.pk}"


class ApprovalNeeded(Exception):
    """The action needs approval, and nothing was done. `request_approval` requests it.

    Not a `Refused`: code that reports refusals, or skips what is refused, must not take it for one.
    """

    def __init__(self, action: Action, rule: ApprovalKind, by: User | None) -> None:
        super().__init__(f"{action.title}: this needs approval.")
        self.action, self.rule, self.by = action, rule, by


class Changed(Refused):
    """What would be carried out isn't what was requested any more."""


@dataclass(slots=True)
class _CarriedOut:
    approval: Approval
    is_passed: bool = False


_carried_out: ContextVar[_CarriedOut | None] = ContextVar("carried_out", default=None)
_is_exempt: ContextVar[bool] = ContextVar("exempt_from_approval", default=False)


def require_approval(action: Action, *, by: User | None, always: bool = False) -> None:
    """Return if the action may be done now. Raises `ApprovalNeeded` if a rule covers it, or `always`.

    While an approved request is carried out, it may if it is what was requested: raises `Changed` otherwise.
    """
    if (needed := find_needed_approval(action, by=by, always=always)) is not None:
        raise needed


def find_needed_approval(action: Action, *, by: User | None, always: bool = False) -> ApprovalNeeded | None:
    """Return what `require_approval` would raise, for actions that have a first step without approval."""
    current = _carried_out.get()
    if current is not None and current.approval.operation == action.operation and not current.is_passed:
        _check_unchanged(current.approval, action)
        current.is_passed = True
        return None
    if _is_exempt.get():
        return None
    kind = action.kinds[0] if always else _covering_rule(action)
    return None if kind is None else ApprovalNeeded(action, kind, by)


def _covering_rule(action: Action) -> ApprovalKind | None:
    rules = {rule.kind: rule for rule in ApprovalRule.objects.filter(kind__in=action.kinds)}
    covering = (kind for kind in action.kinds if kind in rules and rules[kind].covers(dict(action.amounts)))
    return next(covering, None)


def _check_unchanged(approval: Approval, action: Action) -> None:
    if approval.amounts != action.stored_amounts:
        raise Changed(
            f"The amount has changed since it was requested: {_describe(approval.amounts)} was requested, and now it "
            f"would be {_describe(action.stored_amounts)}."
        )
    if approval.about != action.about or approval.inputs != action.stored_inputs:
        raise Changed("It has changed since it was requested. Request the approval of its current state.")


def _describe(amounts: Mapping[str, str]) -> str:
    return write_amounts({currency: Decimal(amount) for currency, amount in amounts.items()}) or "nothing"


@contextmanager
def carrying_out(approval: Approval) -> Iterator[None]:
    """Let the gate pass what was requested, once. Raises `Changed` if nothing asked the gate, so nothing was done."""
    current = _CarriedOut(approval)
    token = _carried_out.set(current)
    try:
        yield
        if not current.is_passed:
            raise Changed("There is nothing left to do: it was done in the meantime.")
    finally:
        _carried_out.reset(token)


@contextmanager
def without_approval() -> Iterator[None]:
    """Let everything pass inside the block: for commands of the server's operator, and for the demo company."""
    token = _is_exempt.set(True)
    try:
        yield
    finally:
        _is_exempt.reset(token)
