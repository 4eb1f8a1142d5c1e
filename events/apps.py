from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = "Usage Tracking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the admin pages without a table, the signal receivers and the webhook messages."""
        from events import receivers
        from events.admin.pages import urls
        from events.api import messages
        from events.approvals import register_operations

        urls.attach()
        receivers.connect()
        messages.register()
        register_operations()
