from config.api.models import KeptAnswer
from config.installation.models import InstalledGrant, InstalledSchedule
from config.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage

__all__ = [
    "InstalledGrant",
    "InstalledSchedule",
    "KeptAnswer",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookMessage",
]
