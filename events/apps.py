from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "events"
    verbose_name = "Usage Tracking"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the admin pages without a table, the signal receivers, the webhook messages and the checks."""
        from config.backups.checks import register_backup_check
        from events import receivers
        from events.admin.pages import urls
        from events.alarms import register_checks
        from events.api import messages
        from events.approvals import register_operations
        from events.history import checks  # noqa: F401  Django's checks are registered when they are imported
        from events.ledger.rebuilding import describe_difference
        from events.metrics import register_sources

        urls.attach()
        receivers.connect()
        messages.register()
        register_operations()
        register_backup_check("usage", describe_difference)
        register_checks()
        register_sources()
