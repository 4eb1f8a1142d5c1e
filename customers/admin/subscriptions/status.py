"""A subscription's status in the admin: its text and its color."""

from customers.models import Subscription, SubscriptionStatus
from customers.periods import local_date

STATUS_COLORS = {
    SubscriptionStatus.SCHEDULED: "info",
    SubscriptionStatus.TRIALING: "primary",
    SubscriptionStatus.ACTIVE: "success",
    SubscriptionStatus.PAUSED: "warning",
    SubscriptionStatus.CANCELLED: "danger",
}
RUNNING = (
    SubscriptionStatus.SCHEDULED,
    SubscriptionStatus.TRIALING,
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.PAUSED,
)


def status_of(subscription: Subscription) -> tuple[str, str]:
    """Return the annotated status and its text for a badge."""
    status = SubscriptionStatus(getattr(subscription, "status", SubscriptionStatus.ACTIVE))
    ends_later = status != SubscriptionStatus.CANCELLED and subscription.cancelled_at is not None
    if not ends_later or subscription.ended_at is None:
        return status, str(status.label)
    return status, f"{status.label}, ends {local_date(subscription.ended_at, subscription.timezone):%Y-%m-%d}"
