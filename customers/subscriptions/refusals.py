"""What the functions of this package raise when a change isn't possible."""

from config.refusals import Refused


class SubscriptionEnded(Refused):
    """The subscription has ended, or ends before the change."""


class NotYetStarted(Refused):
    """The change is before the subscription's start."""


class ChangeAlreadyScheduled(Refused):
    """Another change is scheduled: withdraw it first."""


class NothingScheduled(Refused):
    """There is no scheduled change to withdraw."""


class NotPaused(Refused):
    """The subscription isn't paused at that time."""


class CannotPause(Refused):
    """Only an active subscription can be paused, not a subscription in trial or already paused."""


class NoMatchingPrice(Refused):
    """The plan or add-on has no price in that currency and billing interval."""


class EndsBeforeStart(Refused):
    """The subscription, or a change, would end before it starts."""


class TermsNeedApproval(Refused):
    """The terms that a subscription would start with need approval."""


class NotAPeriodsStart(Refused):
    """A commitment starts and ends with billing periods, and ends in the future."""


class CommitmentOverlaps(Refused):
    """Another commitment applies at that time."""
