"""What an adapter module says about its category of golden vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Inputs = Mapping[str, Any]
Policy = Mapping[str, Any]
Operation = Callable[[Inputs, Policy], dict[str, Any]]

# These say how to compare a result, not how to compute it.
REPRESENTATION = frozenset(
    {
        "rounding",
        "scale",
        "round_places",
        "round_mode",
        "factor_scale",
        "empty_windows",
        "timestamp_precision",
        "days_in_month",
    }
)


class Refused(Exception):
    """The product refused the call, as a vector may expect."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NotOffered(Exception):
    """The product doesn't offer the vector's operation, or type of model. The message names it, never a vector."""


class DecidedOtherwise(Exception):
    """The product offers it, and decided otherwise. The message names the rule, never a vector."""


@dataclass(frozen=True)
class Category:
    """The operations that the product offers of a category, and what it leaves out, with reasons.

    `not_offered` maps an operation to a reason. `policies` maps a policy key to the values that the product offers;
    `declined` maps "key=value", or a key whatever its value, to the reason why it isn't offered. Operations that
    `needs_database` leave their rows to the driver, which rolls them back. `informative` names inputs that say nothing
    which a result depends on.
    """

    operations: Mapping[str, Operation]
    not_offered: Mapping[str, str] = field(default_factory=dict)
    policies: Mapping[str, frozenset[str]] = field(default_factory=dict)
    declined: Mapping[str, str] = field(default_factory=dict)
    informative: frozenset[str] = frozenset()
    needs_database: bool = False

    def declines(self, policy: Policy) -> str | None:
        """Return the rule by which a vector's policy isn't offered, or nothing when it is."""
        for key, value in policy.items():
            if key not in REPRESENTATION and str(value) not in self.policies.get(key, frozenset()):
                rule = f"{key}={value}"
                reason = self.declined.get(rule) or self.declined.get(key) or "this choice is not offered"
                return f"{rule}: {reason}"
        return None
