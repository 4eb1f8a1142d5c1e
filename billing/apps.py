from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Answer usage tracking's questions about invoices and money."""
        from billing.diagnosis import BillingAnswers
        from events.billing_facts import register

        register(BillingAnswers())
