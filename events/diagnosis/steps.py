"""What a diagnosis is made of: steps with a status, the evidence for it, and the fixes that would change it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from events.reasons import EXPLANATIONS, Reason


class Status(StrEnum):
    """How a step went. `INFO` is where there is nothing to judge, or no knowing; no step is ever left out."""

    PASS = "pass"  # noqa: S105  a step's outcome, not a password
    WARNING = "warning"
    FAIL = "fail"
    INFO = "info"


class StepKey(StrEnum):
    """The steps of the guide, in its order."""

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
    StepKey.SHAPE: "Shape",
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
    StepKey.USAGE: "Usage it added",
    StepKey.INVOICE_LINE: "Invoice line",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was looked at: what it is called, what it is, and where it can be opened."""

    label: str
    value: str
    url: str = ""
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides of something, row by row: (what, left, right). Rows that differ are what it is about."""

    left: str
    right: str
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Fix:
    """What would mend a step: a page to open (`url`), or an action with its parameters, to preview and then apply."""

    label: str
    url: str = ""
    action: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiagnosisStep:
    """One step of the path. The feature, by its public id and name, where it is about one of several with the name."""

    key: StepKey
    status: Status
    sentence: str
    reason: Reason | None = None
    evidence: tuple[Evidence, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    fixes: tuple[Fix, ...] = ()
    feature_id: str | None = None
    feature: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.key]

    @property
    def guide(self) -> str:
        """Name the section of the troubleshooting guide that the reason belongs to, such as "2B"."""
        return EXPLANATIONS[self.reason].guide if self.reason else ""

    @property
    def fix_text(self) -> str:
        """Say how the reason is mended, in the words of the one vocabulary."""
        return EXPLANATIONS[self.reason].fix if self.reason else ""
