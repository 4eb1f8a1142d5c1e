from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ConfigConfig(AppConfig):
    """What all doors share: checks, schedules, the admin of the schedules, `manage.py serve`."""

    name = "config"
    verbose_name = "Settings"

    def ready(self) -> None:
        from config import checks  # noqa: F401  registering is what importing it does
        from config.schedules import install_after_migrate

        post_migrate.connect(install_after_migrate, sender=self, dispatch_uid="config.schedules")
