from django.apps import AppConfig
from django.db.models.signals import pre_save


class CatalogConfig(AppConfig):
    """What is sold: features, plans, and their versioned prices."""

    name = "catalog"
    verbose_name = "Product Catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from auditlog.models import LogEntry

        from catalog.history import sign_entry

        pre_save.connect(sign_entry, sender=LogEntry, dispatch_uid="catalog.history")
