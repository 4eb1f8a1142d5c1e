"""The event types of webhooks, as in a message's `event_type` and an endpoint's choice of events."""

from django.db import models


class WebhookEvent(models.TextChoices):
    """The type of a webhook. Its message contains the object as it was at that time."""

    INVOICE_DRAFTED = "invoice.create.drafted", "Invoice drafted"
    INVOICE_UPDATED = "invoice.update", "Draft invoice changed"
    INVOICE_FINALIZED = "invoice.update.finalized", "Invoice finalized"
    INVOICE_PAYMENT = "invoice.update.payment", "Invoice paid, or a payment changed"
    INVOICE_VOIDED = "invoice.update.voided", "Invoice voided"
    PAYMENT_SUCCESS = "payment.success", "Payment recorded"
    PAYMENT_REVERSED = "payment.reversed", "Payment reversed"
    REFUND_SUCCEEDED = "refund.succeeded", "Refund recorded"
    REFUND_REVERSED = "refund.reversed", "Refund reversed"
    CREDIT_NOTE_CREATED = "credit_note.created", "Credit note drafted"
    CREDIT_NOTE_UPDATED = "credit_note.updated", "Credit note finalized or voided"
    WALLET_CREATED = "wallet.created", "Wallet opened"
    WALLET_UPDATED = "wallet.updated", "Wallet details changed"
    WALLET_TERMINATED = "wallet.terminated", "Wallet closed"
    WALLET_MOVED = "wallet.transaction.created", "Prepaid credit transaction"
    SUBSCRIPTION_CREATED = "subscription.created", "Subscription created"
    SUBSCRIPTION_UPDATED = "subscription.updated", "Scheduled change or cancellation withdrawn"
    SUBSCRIPTION_PLAN_CHANGED = "subscription.plan_changed", "Subscription moved to another plan"
    SUBSCRIPTION_PAUSED = "subscription.paused", "Subscription paused"
    SUBSCRIPTION_RESUMED = "subscription.resumed", "Subscription resumed"
    SUBSCRIPTION_CANCELLED = "subscription.cancelled", "Subscription cancelled, immediately or for a later date"
    USAGE_THRESHOLD_REACHED = "usage.threshold_reached", "Usage alert reached"
    PROBLEM_OPENED = "problem.opened", "Events can't be counted, for a new cause"
    TEST = "webhook.test", "Test message"


CHOSEN = [(event.value, event.label) for event in WebhookEvent if event is not WebhookEvent.TEST]
