from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

NAMES = {
    "auth": "Staff",
    "auditlog": "Change log",
    "django_celery_beat": "Schedules",
}  # of others' apps, as in the sidebar


class ConfigConfig(AppConfig):
    """What all doors share: checks, schedules, the admin of the schedules, `manage.py serve`."""

    name = "config"
    verbose_name = "Settings"

    def ready(self) -> None:
        from config import checks, lookups, roles, schedules  # noqa: F401  registering checks is what importing them does

        lookups.register()
        for label, name in NAMES.items():
            apps.get_app_config(label).verbose_name = name
        post_migrate.connect(schedules.install_after_migrate, sender=self, dispatch_uid="config.schedules")
        # The last of our apps, so that every model's permissions can be made by then.
        post_migrate.connect(
            roles.install_after_migrate, sender=apps.get_app_config("billing"), dispatch_uid="config.roles"
        )
