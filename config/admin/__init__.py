"""The Settings pages of the admin. Django's autodiscovery imports this package, which registers them."""

from config.admin import system
from config.webhooks import admin as webhooks

__all__ = ["system", "webhooks"]
