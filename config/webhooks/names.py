"""The event types of webhook messages."""

from django.db import models


class WebhookEvent(models.TextChoices):
    """An event that sends a webhook message with the object as it was at that time."""

    INVOICE_DRAFTED = "invoice.create.drafted", "Invoice drafted"
    INVOICE_UPDATED = "invoice.update", "Draft invoice updated"
    INVOICE_FINALIZED = "invoice.update.finalized", "Invoice finalized"
    INVOICE_PAYMENT = "invoice.update.payment", "Invoice payment recorded or reversed"
    INVOICE_VOIDED = "invoice.update.voided", "Invoice voided"
    PAYMENT_SUCCESS = "payment.success", "Payment recorded"
    PAYMENT_UPDATED = "payment.updated", "Surplus of a payment applied, credited or refunded"
    PAYMENT_REVERSED = "payment.reversed", "Payment reversed"
    REFUND_SUCCEEDED = "refund.succeeded", "Refund recorded"
    REFUND_REVERSED = "refund.reversed", "Refund reversed"
    CREDIT_NOTE_CREATED = "credit_note.created", "Credit note drafted"
    CREDIT_NOTE_UPDATED = "credit_note.updated", "Credit note finalized or voided"
    EMAIL_SENT = "email.sent", "Email accepted by the mail server"
    EMAIL_FAILED = "email.failed", "Email not sent, or unconfirmed"
    EMAIL_BOUNCED = "email.bounced", "Email bounced, or marked as spam"
    REMINDER_CREATED = "reminder.created", "Reminder of an unpaid invoice"
    REMINDER_HANDLED = "reminder.handled", "Task of a reminder handled"
    WALLET_CREATED = "wallet.created", "Wallet created"
    WALLET_UPDATED = "wallet.updated", "Wallet updated"
    WALLET_TERMINATED = "wallet.terminated", "Wallet closed"
    WALLET_MOVED = "wallet.transaction.created", "Wallet transaction created"
    PERSONAL_DATA_ERASED = "customer.personal_data_erased", "Personal data of a customer erased"
    SUBSCRIPTION_CREATED = "subscription.created", "Subscription created"
    SUBSCRIPTION_UPDATED = "subscription.updated", "Scheduled change or cancellation withdrawn"
    SUBSCRIPTION_PLAN_CHANGED = "subscription.plan_changed", "Subscription plan changed"
    SUBSCRIPTION_PAUSED = "subscription.paused", "Subscription paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed", "Subscription resumed"
    SUBSCRIPTION_CANCELLED = "subscription.cancelled", "Subscription canceled, now or for a later date"
    USAGE_THRESHOLD_REACHED = "usage.threshold_reached", "Usage alert threshold reached"
    LATE_USAGE_UPDATED = "late_adjustment.updated", "Late usage approved, waived or reopened"
    MONTH_CLOSED = "month.closed", "Month closed"
    MONTH_REOPENED = "month.reopened", "Month reopened"
    SIMULATION_COMPLETED = "simulation.completed", "Simulation finished"
    PROBLEM_OPENED = "problem.opened", "Problem opened with a new cause"
    CONFLICT_OPENED = "conflict.opened", "Events used the event_id of other events"
    API_KEY_CREATED = "api_key.created", "API key created"
    API_KEY_ROTATED = "api_key.rotated", "API key replaced by a new one"
    API_KEY_REVOKED = "api_key.revoked", "API key revoked"
    APPROVAL_REQUESTED = "approval.requested", "Approval requested"
    APPROVAL_APPROVED = "approval.approved", "Approval given and carried out"
    APPROVAL_REJECTED = "approval.rejected", "Approval rejected"
    APPROVAL_WITHDRAWN = "approval.withdrawn", "Approval withdrawn by its requester"
    APPROVAL_EXPIRED = "approval.expired", "Approval expired without a decision"
    APPROVAL_FAILED = "approval.failed", "Approval given, but the action was refused"
    ALARM_OPENED = "alarm.opened", "Alarm opened"
    ALARM_CLEARED = "alarm.cleared", "Alarm cleared"
    TEST = "webhook.test", "Test message"


CHOSEN = [(event.value, event.label) for event in WebhookEvent if event is not WebhookEvent.TEST]


def event_types() -> list[tuple[str, str]]:
    """Return the event types as choices of a model field. Migrations name this function, not its result."""
    return WebhookEvent.choices


def chosen_event_types() -> list[tuple[str, str]]:
    """Return the event types that an endpoint can be limited to. The test message isn't one: it is always received."""
    return CHOSEN
