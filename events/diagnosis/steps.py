"""The parts of a diagnosis: steps with a status, their evidence, and the fixes that would change the outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from events.reasons import EXPLANATIONS, Reason


class Status(StrEnum):
    """The outcome of a step. `INFO` means that there is nothing to judge, or no way to know; no step is left out."""

    PASS = "pass"  # noqa: S105  a step's outcome, not a password
    WARNING = "warning"
    FAIL = "fail"
    INFO = "info"


class StepKey(StrEnum):
    """The steps of the troubleshooting guide, in its order."""

    REQUEST = "request"
    SHAPE = "shape"
    EVENT_NAME = "event_name"
    FEATURE = "feature"
    FILTER = "filter"
    FIELD = "field"
    VALUE = "value"
    CUSTOMER = "customer"
    SUBSCRIPTION = "subscription"
    PLAN = "plan"
    FREE_TIER = "free_tier"
    PERIOD = "period"
    DUPLICATE = "duplicate"
    USAGE = "usage"
    INVOICE_LINE = "invoice_line"


TITLES: Mapping[StepKey, str] = {
    StepKey.REQUEST: "Request",
    StepKey.SHAPE: "Payload",
    StepKey.EVENT_NAME: "Event name",
    StepKey.FEATURE: "Feature is active",
    StepKey.FILTER: "Filter",
    StepKey.FIELD: "Aggregation field",
    StepKey.VALUE: "Value",
    StepKey.CUSTOMER: "Customer",
    StepKey.SUBSCRIPTION: "Subscription at that time",
    StepKey.PLAN: "Feature in the plan",
    StepKey.FREE_TIER: "Free tier",
    StepKey.PERIOD: "Billing period and its invoice",
    StepKey.DUPLICATE: "Duplicates",
    StepKey.USAGE: "Usage added",
    StepKey.INVOICE_LINE: "Invoice line",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact that a step is based on, and the admin page that shows it."""

    label: str
    value: str
    url: str = ""
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions side by side, as rows of (name, left, right)."""

    left: str
    right: str
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Fix:
    """A way to fix a step: a page to open (`url`), or an action with its parameters, to preview and then apply."""

    label: str
    url: str = ""
    action: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiagnosisStep:
    """A step of the guide. `feature_id` (public id) and `feature` are set if the step concerns a single feature."""

    key: StepKey
    status: Status
    sentence: str
    reason: Reason | None = None
    evidence: Sequence[Evidence] = ()
    comparisons: Sequence[Comparison] = ()
    fixes: Sequence[Fix] = ()
    feature_id: str | None = None
    feature: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.key]

    @property
    def guide(self) -> str:
        """Name the section of the troubleshooting guide that covers the reason, such as "2B"."""
        return EXPLANATIONS[self.reason].guide if self.reason else ""

    @property
    def fix_text(self) -> str:
        """Describe how to fix the reason."""
        return EXPLANATIONS[self.reason].fix if self.reason else ""
