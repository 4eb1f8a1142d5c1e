from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate, pre_save

NAMES = {
    "auth": "Staff",
    "auditlog": "Change log",
    "django_celery_beat": "Schedules",
}  # of apps that aren't ours, as in the sidebar


class ConfigConfig(AppConfig):
    """What all apps share: server processes, database helpers, the bases of API views and admin pages."""

    name = "config"
    verbose_name = "Settings"

    def ready(self) -> None:
        from auditlog.models import LogEntry

        from config.audit import sign_entry
        from config.db import lookups
        from config.installation import roles, schedules
        from config.server import checks  # noqa: F401  importing the module registers its checks

        lookups.register()
        for label, name in NAMES.items():
            apps.get_app_config(label).verbose_name = name
        pre_save.connect(sign_entry, sender=LogEntry, dispatch_uid="catalog.history")
        post_migrate.connect(schedules.install_after_migrate, sender=self, dispatch_uid="config.schedules")
        # The last of our apps, so that every model's permissions can be made by then.
        post_migrate.connect(
            roles.install_after_migrate, sender=apps.get_app_config("billing"), dispatch_uid="config.roles"
        )
