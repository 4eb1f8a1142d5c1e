"""Commitments of a whole subscription in requests, and the names that the API has for their kinds."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from catalog.api.names import CADENCES, PERIODS
from config.api.errors import invalid
from config.api.fields import NumberIn
from customers.kinds import CommitmentKind
from customers.models import Commitment
from customers.periods import Interval
from customers.subscriptions import CommitmentTerms

NOTHING_CHARGED = (
    "Send enable_true_up true to charge a shortfall, commitment_invoice_cadence ADVANCE to invoice the amount in "
    "advance, or an overage_factor other than 1."
)


class CommitmentFields(serializers.Serializer[Any]):
    """What the customer commits to spend on usage in every term."""

    commitment_amount = NumberIn(
        max_digits=24,
        decimal_places=4,
        min_value=Decimal("0.0001"),
        required=False,
        allow_null=True,
        help_text="For one term, before taxes.",
    )
    commitment_duration = serializers.ChoiceField(
        list(PERIODS),
        required=False,
        allow_null=True,
        help_text="The term, in whole billing periods. Defaults to one billing period.",
    )
    commitment_invoice_cadence = serializers.ChoiceField(
        list(CADENCES),
        required=False,
        allow_null=True,
        help_text="ADVANCE invoices the amount at the start of each term, and usage draws on it. Defaults to ARREAR.",
    )
    enable_true_up = serializers.BooleanField(
        required=False, allow_null=True, help_text="Charge a shortfall at the end of each term."
    )
    overage_factor = NumberIn(
        max_digits=12,
        decimal_places=6,
        min_value=Decimal("0.000001"),
        required=False,
        allow_null=True,
        help_text="Usage above the amount costs its price times this. Defaults to 1.",
    )


def commitment_of(body: Mapping[str, Any], interval: Interval) -> CommitmentTerms | None:
    """Return the commitment of a body, None if it has no amount. 400 for fields that contradict each other."""
    factor = body.get("overage_factor") or Decimal(1)
    if body.get("commitment_amount") is None:
        for name in ("commitment_duration", "commitment_invoice_cadence", "overage_factor", "enable_true_up"):
            if body.get(name):
                raise invalid({name: ["Only allowed with commitment_amount."]})
        return None
    kind = CommitmentKind.MINIMUM if body.get("enable_true_up") else CommitmentKind.THRESHOLD
    if body.get("commitment_invoice_cadence") == "ADVANCE":
        if body.get("enable_true_up"):
            raise invalid({"enable_true_up": ["An amount that is invoiced in advance has no shortfall."]})
        kind = CommitmentKind.PREPAID
    if kind == CommitmentKind.THRESHOLD and factor == 1:
        raise invalid({"commitment_amount": [f"It would charge nothing. {NOTHING_CHARGED}"]})
    return CommitmentTerms(body["commitment_amount"], kind, _periods_of(body, interval), factor)


def _periods_of(body: Mapping[str, Any], interval: Interval) -> int:
    """Return how many billing periods the term has."""
    if not body.get("commitment_duration"):
        return 1
    term = Interval(PERIODS[body["commitment_duration"]])
    for length, period in ((term.days, interval.days), (term.months, interval.months)):
        if length and period and length % period == 0:
            return length // period
    raise invalid({"commitment_duration": ["The term must be whole billing periods of the subscription."]})


def cadence_of(commitment: Commitment) -> str:
    """Return the API's name of when a commitment is invoiced."""
    return "ADVANCE" if commitment.kind == CommitmentKind.PREPAID else "ARREAR"


def duration_of(commitment: Commitment) -> str | None:
    """Return the API's name of a term's length, None if it has none."""
    subscription = commitment.subscription
    term = Interval(subscription.interval, subscription.interval_count * commitment.periods)
    return next((name for name, unit in PERIODS.items() if Interval(unit).has_same_length(term)), None)
