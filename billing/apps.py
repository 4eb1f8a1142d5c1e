from django.apps import AppConfig
from django.db.models.signals import post_migrate


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Add billing's admin pages, and register with usage tracking, customers and webhooks."""
        from billing.admin.pages import customer, urls
        from billing.alarms import register_checks
        from billing.api import messages
        from billing.api.subscription_conditions import assign_taxes, begin
        from billing.approvals import register_operations
        from billing.facts.answers import BillingAnswers
        from billing.facts.retention import oldest_needed
        from billing.metrics import register_sources
        from billing.overview.double_charges import warn_of_double_charges
        from billing.personal_data.functions import install_functions
        from billing.proofs.checks import defaults
        from billing.proofs.copies import prove_copy
        from billing.runs.at_once import invoice_change, invoice_start
        from billing.self_test.alarms import register_self_test_alarm
        from billing.sending import bounces
        from billing.simulation.guard import check_publishing
        from catalog.signals import publishing_hooks
        from config.backups.checks import register_backup_check
        from config.office.pages import add_pages
        from customers.admin import set_customer_overview
        from customers.signals import (
            customer_hooks,
            invoice_change_hooks,
            invoice_start_hooks,
            start_hooks,
            warning_hooks,
        )
        from events.diagnosis.billing_facts import register
        from events.ledger.retention import floors

        add_pages(urls.urls)
        post_migrate.connect(install_functions, sender=self, dispatch_uid="billing.personal_data")
        register_operations()
        register_self_test_alarm()
        defaults.register()
        register_checks()
        register_sources()
        register_backup_check("proofs", prove_copy)
        set_customer_overview(customer.overview_context)
        messages.register()
        bounces.connect()
        register(BillingAnswers())
        floors.append(oldest_needed)
        publishing_hooks.append(check_publishing)
        start_hooks.append(begin)
        customer_hooks.append(assign_taxes)
        warning_hooks.append(warn_of_double_charges)
        invoice_start_hooks.append(invoice_start)
        invoice_change_hooks.append(invoice_change)
