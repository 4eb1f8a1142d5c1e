"""Settings → Webhooks: endpoints and the deliveries to them."""

from config.webhooks.admin import deliveries, endpoints

__all__ = ["deliveries", "endpoints"]
