"""The one vocabulary of reasons why an event is not on an invoice. Debugger, problem list and API all use it."""

from dataclasses import dataclass

from django.db import models


class Reason(models.TextChoices):
    UNKNOWN_EVENT_NAME = "unknown_event_name", "Unknown event name"
    FEATURE_ARCHIVED = "feature_archived", "Feature is archived"
    FILTER_MISMATCH = "filter_mismatch", "No feature's filter matches"
    BEFORE_FEATURE_START = "before_feature_start", "Before the feature counts"
    AGGREGATION_FIELD_MISSING = "aggregation_field_missing", "Aggregation field missing"
    NOT_A_NUMBER = "not_a_number", "Not a number"
    UNUSABLE_VALUE = "unusable_value", "Not a string or number"
    VALUE_OUT_OF_RANGE = "value_out_of_range", "Value out of range"
    UNKNOWN_CUSTOMER = "unknown_customer", "Unknown customer"
    CUSTOMER_ARCHIVED = "customer_archived", "Customer is archived"
    NO_SUBSCRIPTION_AT_TIME = "no_subscription_at_time", "No subscription at that time"
    SUBSCRIPTION_ENDED = "subscription_ended", "Subscription had ended"
    SUBSCRIPTION_PAUSED = "subscription_paused", "Subscription was paused"
    SUBSCRIPTION_IN_TRIAL = "subscription_in_trial", "Subscription was in trial"
    FEATURE_NOT_IN_PLAN = "feature_not_in_plan", "Feature not in plan"
    WITHIN_FREE_TIER = "within_free_tier", "Within the free tier"
    OUTSIDE_BILLING_PERIOD = "outside_billing_period", "In another billing period"
    PERIOD_ALREADY_INVOICED = "period_already_invoiced", "Period already invoiced"
    DUPLICATE_SAME_BODY = "duplicate_same_body", "Duplicate, same body"
    DUPLICATE_CONFLICT = "duplicate_conflict", "Duplicate, another body"
    VOIDED = "voided", "Voided"
    BAD_REQUEST = "bad_request", "Bad request (400)"
    UNAUTHORIZED = "unauthorized", "Unauthorized (401)"
    FORBIDDEN = "forbidden", "Forbidden (403)"
    TOO_LARGE = "too_large", "Too large (413)"
    RATE_LIMITED = "rate_limited", "Too many requests (429)"


@dataclass(frozen=True)
class Explanation:
    """What staff read about a reason: what happened, how to mend it, and the guide's section that it answers."""

    meaning: str
    fix: str
    guide: str


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.UNKNOWN_EVENT_NAME: Explanation(
        "No feature has this event name. Names are compared exactly; capitals count.",
        "Correct the name in the sender, map it to the right name, or create the feature.",
        "1A",
    ),
    Reason.FEATURE_ARCHIVED: Explanation(
        "The feature exists, but was archived when the event was processed.",
        "Activate the feature; its waiting events are then counted.",
        "1C",
    ),
    Reason.FILTER_MISMATCH: Explanation(
        "The name fits, but the properties pass no feature's filter.",
        "Correct the property in the sender, or widen the feature's filter.",
        "1A",
    ),
    Reason.BEFORE_FEATURE_START: Explanation(
        "The event occurred before the moment from which the feature counts.",
        "Set the feature's start to an earlier moment.",
        "1C",
    ),
    Reason.AGGREGATION_FIELD_MISSING: Explanation(
        "The event's properties don't hold the feature's aggregation field.",
        "Send the field with every event; check its spelling and capitals.",
        "2A, 2C",
    ),
    Reason.NOT_A_NUMBER: Explanation(
        "The aggregation field holds something else than a JSON number.",
        "Send a number without quotes, or let the feature accept numeric strings.",
        "2B",
    ),
    Reason.UNUSABLE_VALUE: Explanation(
        "A unique count needs a string or a number; the field holds true, false, a list or an object.",
        "Send a string or a number in the field.",
        "2B",
    ),
    Reason.VALUE_OUT_OF_RANGE: Explanation(
        "The number is too large or has too many digits to be counted exactly.",
        "Correct the value in the sender.",
        "2B",
    ),
    Reason.UNKNOWN_CUSTOMER: Explanation(
        "No customer has this external_customer_id. Ids are compared exactly; capitals count.",
        "Create the customer with this id, or map the id to an existing customer.",
        "1B",
    ),
    Reason.CUSTOMER_ARCHIVED: Explanation(
        "The customer was archived when the event was processed.", "Activate the customer.", "1B"
    ),
    Reason.NO_SUBSCRIPTION_AT_TIME: Explanation(
        "The customer had no subscription when the event occurred.",
        "Create a subscription that starts at or before the event's time.",
        "3B",
    ),
    Reason.SUBSCRIPTION_ENDED: Explanation(
        "The subscription had ended when the event occurred.", "Open the subscription's history.", "3B, 5B"
    ),
    Reason.SUBSCRIPTION_PAUSED: Explanation(
        "The subscription was paused when the event occurred.", "Open the subscription's history.", "3B, 5B"
    ),
    Reason.SUBSCRIPTION_IN_TRIAL: Explanation(
        "The event occurred during the trial, which is free of charge.", "Nothing to mend.", "3B"
    ),
    Reason.FEATURE_NOT_IN_PLAN: Explanation(
        "The plan that applied at the event's time has no price for the feature.",
        "Add the feature to a new version of the plan, and move the subscription to it.",
        "3A",
    ),
    Reason.WITHIN_FREE_TIER: Explanation(
        "The usage is counted, and free so far.", "Nothing to mend, or lower the free units.", "3C"
    ),
    Reason.OUTSIDE_BILLING_PERIOD: Explanation(
        "The event belongs to another billing period than the current one.",
        "Look at that period's invoice.",
        "3D",
    ),
    Reason.PERIOD_ALREADY_INVOICED: Explanation(
        "The event's period was invoiced before the event was counted or taken back.",
        "Nothing to mend: the difference goes on the next invoice by itself, as the late usage policy says.",
        "3D",
    ),
    Reason.DUPLICATE_SAME_BODY: Explanation(
        "The same event_id came again with the same content. It counts once.", "Nothing to mend.", "6"
    ),
    Reason.DUPLICATE_CONFLICT: Explanation(
        "The same event_id came again with other content. The first one stands.",
        "Compare both, then void the first or send the second under a new event_id.",
        "6",
    ),
    Reason.VOIDED: Explanation(
        "Staff took the event back; it doesn't count.", "Send it again under a new event_id.", ""
    ),
    Reason.BAD_REQUEST: Explanation("The request was malformed; nothing was stored.", "Correct the named field.", "4A"),
    Reason.UNAUTHORIZED: Explanation(
        "The API key is missing, wrong, revoked or expired; nothing was stored.", "Use an active key.", "4B"
    ),
    Reason.FORBIDDEN: Explanation(
        "The API key lacks the scope for this; nothing was stored.", "Use a key with the named scope.", "4B"
    ),
    Reason.TOO_LARGE: Explanation(
        "The request was larger than allowed; nothing was stored.",
        "Split the batch into smaller requests.",
        "4A",
    ),
    Reason.RATE_LIMITED: Explanation(
        "The key sent more requests than its limit; nothing was stored.",
        "Wait as Retry-After says, back off exponentially, or send bulk requests.",
        "4C",
    ),
}
