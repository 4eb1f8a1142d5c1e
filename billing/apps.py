from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register billing with lower layers: facts for usage tracking, webhook payloads, retention, subscriptions."""
        from billing.api import messages
        from billing.api.subscription_conditions import begin
        from billing.facts.answers import BillingAnswers
        from billing.facts.retention import oldest_needed
        from customers.signals import beginnings
        from events.diagnosis.billing_facts import register
        from events.ledger.retention import floors

        messages.register()
        register(BillingAnswers())
        floors.append(oldest_needed)
        beginnings.append(begin)
