"""Start, change, cancel and pause subscriptions, and read their history. The clock is passed in as `now`."""

from customers.subscriptions.cancellation import cancel, cancel_at_period_end, get_period_end
from customers.subscriptions.change import change_plan, pause, resume
from customers.subscriptions.phases import (
    get_billing_period,
    get_phase_at,
    get_phase_history,
    get_phases,
    get_phases_by_subscription,
    get_schedule,
    read_chain,
)
from customers.subscriptions.refusals import (
    CannotPause,
    ChangeAlreadyScheduled,
    EndsBeforeStart,
    NothingScheduled,
    NotPaused,
    NotYetStarted,
    SubscriptionEnded,
    TermsNeedApproval,
)
from customers.subscriptions.scheduled import (
    ScheduledChange,
    ScheduledKind,
    has_scheduled_change,
    list_scheduled_changes,
    undo_scheduled_cancellation,
    withdraw_scheduled_change,
)
from customers.subscriptions.start import (
    CustomerArchived,
    NoMatchingPrice,
    VersionNotPublished,
    get_sellable_version,
    subscribe,
)
from customers.subscriptions.terms import agree_terms

__all__ = [
    "CannotPause",
    "ChangeAlreadyScheduled",
    "CustomerArchived",
    "EndsBeforeStart",
    "NoMatchingPrice",
    "NotPaused",
    "NotYetStarted",
    "NothingScheduled",
    "ScheduledChange",
    "ScheduledKind",
    "SubscriptionEnded",
    "TermsNeedApproval",
    "VersionNotPublished",
    "agree_terms",
    "cancel",
    "cancel_at_period_end",
    "change_plan",
    "get_billing_period",
    "get_period_end",
    "get_phase_at",
    "get_phase_history",
    "get_phases",
    "get_phases_by_subscription",
    "get_schedule",
    "get_sellable_version",
    "has_scheduled_change",
    "list_scheduled_changes",
    "pause",
    "read_chain",
    "resume",
    "subscribe",
    "undo_scheduled_cancellation",
    "withdraw_scheduled_change",
]
