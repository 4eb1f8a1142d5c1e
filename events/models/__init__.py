from events.models.alerts import ToldCause, UsageAlert, UsageAlertFiring
from events.models.duplicates import DuplicateEvent, NotifiedConflict
from events.models.history import PartState, SealedPart
from events.models.keys import ApiKey, RefusedRequest, Scope
from events.models.ledger import Event, EventState, EventVoid, InboxEvent, InboxRequest, KnownId, PrunedEventId
from events.models.operations import LedgerHorizon, MendingRun, ProcessedBatch, UsageCheck
from events.models.problems import Problem, ProblemState
from events.models.usage import TouchedUsage, UniqueValue, UsageBucket, UsageDay, UsageMark, UsageRollup

__all__ = [
    "ApiKey",
    "DuplicateEvent",
    "Event",
    "EventState",
    "EventVoid",
    "InboxEvent",
    "InboxRequest",
    "KnownId",
    "LedgerHorizon",
    "MendingRun",
    "NotifiedConflict",
    "PartState",
    "Problem",
    "ProblemState",
    "ProcessedBatch",
    "PrunedEventId",
    "RefusedRequest",
    "Scope",
    "SealedPart",
    "ToldCause",
    "TouchedUsage",
    "UniqueValue",
    "UsageAlert",
    "UsageAlertFiring",
    "UsageBucket",
    "UsageCheck",
    "UsageDay",
    "UsageMark",
    "UsageRollup",
]
