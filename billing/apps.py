from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Add billing's admin pages, and register with usage tracking, customers and webhooks."""
        from billing.admin.pages import urls
        from billing.api import messages
        from billing.api.subscription_conditions import begin
        from billing.facts.answers import BillingAnswers
        from billing.facts.retention import oldest_needed
        from config.office.pages import add_pages
        from customers.signals import start_hooks
        from events.diagnosis.billing_facts import register
        from events.ledger.retention import floors

        add_pages(urls.urls)
        messages.register()
        register(BillingAnswers())
        floors.append(oldest_needed)
        start_hooks.append(begin)
