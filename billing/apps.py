from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Answer usage tracking's questions about invoices and money, and say which events are still needed."""
        from billing.api import messages
        from billing.api.subscription_conditions import begin
        from billing.facts.answers import BillingAnswers
        from billing.facts.retention import oldest_needed
        from customers.signals import start_hooks
        from events.diagnosis.billing_facts import register
        from events.ledger.retention import floors

        messages.register()
        register(BillingAnswers())
        floors.append(oldest_needed)
        start_hooks.append(begin)
