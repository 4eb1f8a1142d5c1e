from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate, pre_save

VERBOSE_NAMES = {
    "auth": "Staff",
    "auditlog": "Change log",
    "django_celery_beat": "Schedules",
}  # third-party apps, with the names of the sidebar


class ConfigConfig(AppConfig):
    """Server processes, database helpers, and the base classes of API views and admin pages, used by all apps."""

    name = "config"
    verbose_name = "Settings"

    def ready(self) -> None:
        from auditlog.models import LogEntry

        from config.audit import sign_entry
        from config.db import lookups
        from config.installation import roles, schedules
        from config.server import checks  # noqa: F401  importing the module registers its checks

        lookups.register()
        for label, name in VERBOSE_NAMES.items():
            apps.get_app_config(label).verbose_name = name
        pre_save.connect(sign_entry, sender=LogEntry, dispatch_uid="catalog.history")
        post_migrate.connect(schedules.install_after_migrate, sender=self, dispatch_uid="config.schedules")
        # After the last app, so that the permissions of all models can be created.
        post_migrate.connect(
            roles.install_after_migrate, sender=apps.get_app_config("billing"), dispatch_uid="config.roles"
        )
