"""The reasons why an event is not on an invoice, shared by the debugger, the problem list and the API."""

from dataclasses import dataclass

from django.db import models


class Reason(models.TextChoices):
    UNKNOWN_EVENT_NAME = "unknown_event_name", "Unknown event name"
    FEATURE_ARCHIVED = "feature_archived", "Feature is archived"
    FILTER_MISMATCH = "filter_mismatch", "No feature's filter matches"
    BEFORE_FEATURE_START = "before_feature_start", "Before the feature's start"
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
    DUPLICATE_SAME_BODY = "duplicate_same_body", "Duplicate, same content"
    DUPLICATE_CONFLICT = "duplicate_conflict", "Duplicate, different content"
    VOIDED = "voided", "Voided"
    BAD_REQUEST = "bad_request", "Bad request (400)"
    UNAUTHORIZED = "unauthorized", "Unauthorized (401)"
    FORBIDDEN = "forbidden", "Forbidden (403)"
    TOO_LARGE = "too_large", "Too large (413)"
    RATE_LIMITED = "rate_limited", "Too many requests (429)"


@dataclass(frozen=True)
class Explanation:
    """What staff read about a reason: what happened, how to fix it, and the guide's section that covers it."""

    meaning: str
    fix: str
    guide: str


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.UNKNOWN_EVENT_NAME: Explanation(
        "No feature has this event name. Names are case-sensitive.",
        "Correct the name in the sending system, map it to the right name, or create the feature.",
        "1A",
    ),
    Reason.FEATURE_ARCHIVED: Explanation(
        "The feature was archived when the event was processed.",
        "Activate the feature. Its uncounted events are then counted automatically.",
        "1C",
    ),
    Reason.FILTER_MISMATCH: Explanation(
        "The event name is right, but the properties match no feature's filter.",
        "Correct the property in the sending system, or extend the feature's filter.",
        "1A",
    ),
    Reason.BEFORE_FEATURE_START: Explanation(
        "The event occurred before the date from which the feature counts events.",
        "Set the feature's start to an earlier date.",
        "1C",
    ),
    Reason.AGGREGATION_FIELD_MISSING: Explanation(
        "The feature's aggregation field is missing from the event's properties.",
        "Send the field with every event. Check its spelling; names are case-sensitive.",
        "2A, 2C",
    ),
    Reason.NOT_A_NUMBER: Explanation(
        "The value of the aggregation field isn't a JSON number.",
        "Send a number without quotes, or let the feature accept numeric strings, as official Flexprice SDKs need.",
        "2B",
    ),
    Reason.UNUSABLE_VALUE: Explanation(
        "A unique count needs a string or a number, but the value is true, false, a list or an object.",
        "Send a string or a number in the aggregation field.",
        "2B",
    ),
    Reason.VALUE_OUT_OF_RANGE: Explanation(
        "The number is too large or has too many digits to be counted exactly.",
        "Correct the value in the sending system.",
        "2B",
    ),
    Reason.UNKNOWN_CUSTOMER: Explanation(
        "No customer has this external_customer_id. IDs are case-sensitive.",
        "Create a customer with this id, or map the id to an existing customer.",
        "1B",
    ),
    Reason.CUSTOMER_ARCHIVED: Explanation(
        "The customer was archived when the event was processed.", "Activate the customer.", "1B"
    ),
    Reason.NO_SUBSCRIPTION_AT_TIME: Explanation(
        "The customer had no subscription when the event occurred.",
        "Create a subscription that starts no later than the event's time.",
        "3B",
    ),
    Reason.SUBSCRIPTION_ENDED: Explanation(
        "The subscription had ended when the event occurred.", "Open the subscription's history.", "3B, 5B"
    ),
    Reason.SUBSCRIPTION_PAUSED: Explanation(
        "The subscription was paused when the event occurred.", "Open the subscription's history.", "3B, 5B"
    ),
    Reason.SUBSCRIPTION_IN_TRIAL: Explanation(
        "The event occurred during the trial, which is free of charge.", "Nothing to fix.", "3B"
    ),
    Reason.FEATURE_NOT_IN_PLAN: Explanation(
        "The plan in force at the event's time has no price for the feature.",
        "Add the feature to a new version of the plan, and move the subscription to it.",
        "3A",
    ),
    Reason.WITHIN_FREE_TIER: Explanation(
        "The usage is counted, but covered by free units.", "Nothing to fix, or reduce the plan's free units.", "3C"
    ),
    Reason.OUTSIDE_BILLING_PERIOD: Explanation(
        "The event doesn't belong to the current billing period.",
        "Check the invoice of its own period.",
        "3D",
    ),
    Reason.PERIOD_ALREADY_INVOICED: Explanation(
        "The event's period was invoiced before the event was counted or voided.",
        "Nothing to fix: the difference goes on the next invoice automatically, according to the late usage policy.",
        "3D",
    ),
    Reason.DUPLICATE_SAME_BODY: Explanation(
        "The same event_id was sent again with the same content. It counts once.", "Nothing to fix.", "6"
    ),
    Reason.DUPLICATE_CONFLICT: Explanation(
        "The same event_id was sent again with different content. Only the first event counts.",
        "Compare the two, then void the first event or send the second under a new event_id.",
        "6",
    ),
    Reason.VOIDED: Explanation(
        "Staff voided the event, so it doesn't count.", "If it should count, send it again under a new event_id.", ""
    ),
    Reason.BAD_REQUEST: Explanation("The request was malformed; nothing was stored.", "Correct the named field.", "4A"),
    Reason.UNAUTHORIZED: Explanation(
        "The API key is missing, wrong, revoked or expired; nothing was stored.", "Use an active key.", "4B"
    ),
    Reason.FORBIDDEN: Explanation(
        "The API key lacks the required scope; nothing was stored.", "Use a key with this scope.", "4B"
    ),
    Reason.TOO_LARGE: Explanation(
        "The request was larger than allowed; nothing was stored.",
        "Split the batch into smaller requests.",
        "4A",
    ),
    Reason.RATE_LIMITED: Explanation(
        "The API key exceeded its rate limit; nothing was stored.",
        "Wait as long as the Retry-After header says, back off exponentially, or send bulk requests.",
        "4C",
    ),
}
