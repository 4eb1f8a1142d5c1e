from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Answer usage tracking's questions about invoices and money, and say which events are still needed."""
        from billing.api_modify import begin
        from billing.diagnosis import BillingAnswers
        from billing.retention import oldest_needed
        from customers.beginnings import beginnings
        from events.billing_facts import register
        from events.retention import floors

        register(BillingAnswers())
        floors.append(oldest_needed)
        beginnings.append(begin)
