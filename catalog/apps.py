from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """What is sold: features, plans, and their versioned prices."""

    name = "catalog"
    verbose_name = "Product Catalog"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from catalog.admin.tier_history import TierHistory
        from catalog.approvals import register_operations
        from config.office.history import register_child_history

        register_child_history(TierHistory())
        register_operations()
