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
    PAYMENT_REVERSED = "payment.reversed", "Payment reversed"
    REFUND_SUCCEEDED = "refund.succeeded", "Refund recorded"
    REFUND_REVERSED = "refund.reversed", "Refund reversed"
    CREDIT_NOTE_CREATED = "credit_note.created", "Credit note drafted"
    CREDIT_NOTE_UPDATED = "credit_note.updated", "Credit note finalized or voided"
    WALLET_CREATED = "wallet.created", "Wallet created"
    WALLET_UPDATED = "wallet.updated", "Wallet updated"
    WALLET_TERMINATED = "wallet.terminated", "Wallet closed"
    WALLET_MOVED = "wallet.transaction.created", "Wallet transaction created"
    SUBSCRIPTION_CREATED = "subscription.created", "Subscription created"
    SUBSCRIPTION_UPDATED = "subscription.updated", "Scheduled change or cancellation withdrawn"
    SUBSCRIPTION_PLAN_CHANGED = "subscription.plan_changed", "Subscription plan changed"
    SUBSCRIPTION_PAUSED = "subscription.paused", "Subscription paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed", "Subscription resumed"
    SUBSCRIPTION_CANCELLED = "subscription.cancelled", "Subscription cancelled, now or for a later date"
    USAGE_THRESHOLD_REACHED = "usage.threshold_reached", "Usage alert threshold reached"
    PROBLEM_OPENED = "problem.opened", "Problem opened with a new cause"
    TEST = "webhook.test", "Test message"


CHOSEN = [(event.value, event.label) for event in WebhookEvent if event is not WebhookEvent.TEST]
