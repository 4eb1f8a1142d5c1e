"""The month-end report and closed months in the API."""

from typing import Any

from rest_framework import serializers

from billing.api.fields import MoneyField
from billing.models import MonthClosing
from billing.month_end.usage import STATUS_LABELS
from config.api.fields import BlankAsNullField, ComputedText

BALANCES = {
    "opening": "Open at the start of the month.",
    "invoiced": "Finalized in the month.",
    "voided": "Invoices voided in the month.",
    "credited": "Credit notes.",
    "prepaid": "Prepaid credit used.",
    "prepaid_back": "Prepaid credit returned by voids.",
    "paid": "Payments.",
    "adjusted": "Write-offs and bank charges.",
    "closing": "Open at the end of the month.",
}


class AmountOut(serializers.Serializer[Any]):
    """An amount in a currency."""

    currency = serializers.CharField()
    amount = serializers.CharField()


class TaskOut(serializers.Serializer[Any]):
    """A task to do before the month is closed."""

    name = serializers.CharField()
    count = serializers.IntegerField()
    is_done = serializers.BooleanField()
    hint = serializers.CharField()
    amounts = AmountOut(many=True)


class RevenueOut(serializers.Serializer[Any]):
    """The charges of a kind, plan and feature in the month, and their voids and credits."""

    kind = serializers.CharField(help_text="The kind of the invoice lines.")
    plan = serializers.CharField()
    feature = serializers.CharField()
    charged = serializers.CharField()
    voided = serializers.CharField()
    credited = serializers.CharField()
    net = serializers.CharField()


class BooksCheckOut(serializers.Serializer[Any]):
    """Two calculations of one sum."""

    name = serializers.CharField()
    left = serializers.CharField()
    right = serializers.CharField()
    agrees = serializers.BooleanField()


class BooksOut(serializers.Serializer[Any]):
    """Revenue and receivables in one currency. Reductions are positive; they are subtracted from the balance."""

    currency = serializers.CharField()
    revenue = RevenueOut(many=True)
    net = serializers.CharField()
    balance = serializers.DictField(child=serializers.CharField(), help_text=" ".join(BALANCES.values()))
    checks = BooksCheckOut(many=True)


class UsageStatusOut(serializers.Serializer[Any]):
    """A feature's events with a billing status."""

    feature_id = serializers.CharField(source="feature.public_id")
    feature_name = serializers.CharField(source="feature.name")
    status = serializers.CharField(source="status.name")
    message = serializers.SerializerMethodField()
    events = serializers.IntegerField()

    def get_message(self, row: Any) -> str:
        return STATUS_LABELS[row.status]


class AccrualOut(serializers.Serializer[Any]):
    """Unbilled revenue at the end of the month."""

    currency = serializers.CharField()
    plan = serializers.CharField()
    feature = serializers.CharField()
    amount = MoneyField()
    subscriptions = serializers.IntegerField()


class CustomerTotalsOut(serializers.Serializer[Any]):
    """The part that is calculated from every customer's usage."""

    as_of = serializers.DateTimeField()
    usage = UsageStatusOut(many=True)
    events_counted = serializers.IntegerField()
    difference = serializers.IntegerField(help_text="Events counted that no row of usage has.")
    unbilled_revenue = AccrualOut(many=True)
    unrated = serializers.IntegerField(help_text="Subscriptions whose unbilled revenue can't be calculated.")
    problems = serializers.DictField(child=serializers.CharField(), help_text="The reasons for the first of them.")


class ProgressOut(serializers.Serializer[Any]):
    """The progress of a calculation in the background."""

    started_at = serializers.DateTimeField(source="report.as_of")
    customers = serializers.IntegerField(source="report.customers")
    done = serializers.IntegerField()


class MonthEndOut(serializers.Serializer[Any]):
    """The month-end report, in UTC. `tasks` and `books` are current; `totals` are as of their own time."""

    month = serializers.CharField()
    tasks = TaskOut(many=True)
    books = BooksOut(many=True)
    totals = CustomerTotalsOut(allow_null=True, help_text="Null if they haven't been calculated yet.")
    running = ProgressOut(allow_null=True, help_text="Null if no calculation is running.")


class MonthClosingOut(serializers.Serializer[Any]):
    """A closed month, or one that was reopened since."""

    id = serializers.CharField(source="public_id")
    month = ComputedText(help_text="For example 2026-09.")
    closed_at = serializers.DateTimeField()
    closed_by = ComputedText(allow_null=True, help_text="Null if the month was closed through the API.")
    reopened_at = serializers.DateTimeField(allow_null=True)
    reopen_reason = BlankAsNullField()

    def get_month(self, closing: MonthClosing) -> str:
        return f"{closing.month:%Y-%m}"

    def get_closed_by(self, closing: MonthClosing) -> str | None:
        return str(closing.closed_by) if closing.closed_by else None


class LaterChangeOut(serializers.Serializer[Any]):
    """A figure of the month-end report that changed since the month was closed."""

    section = serializers.CharField()
    currency = serializers.CharField(help_text="Blank for a number of events.")
    item = serializers.CharField()
    before = serializers.CharField(help_text="The figure when the month was closed.")
    after = serializers.CharField(help_text="The figure now.")
    difference = serializers.CharField()


class MonthOut(serializers.Serializer[Any]):
    """Whether a month is closed, and what changed about its figures since."""

    month = serializers.CharField()
    is_closed = serializers.BooleanField()
    closing = MonthClosingOut(allow_null=True)
    later_changes = LaterChangeOut(many=True)


class ReopenIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=255, help_text="Recorded with the time.")
