from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = "Usage Tracking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Add the pages that belong to no table to the admin, and listen to what is mended."""
        from events import receivers
        from events.admin.pages import urls
        from events.api import messages

        urls.attach()
        receivers.connect()
        messages.register()
