"""The Settings pages of the admin, registered when Django's autodiscovery imports this package."""

from config.admin import system
from config.webhooks import admin as webhooks

__all__ = ["system", "webhooks"]
