"""Billing in the admin."""

from billing.admin import (
    company,
    coupons,
    credit_notes,
    customer_credit,
    customer_payments,
    emails,
    findings,
    late_policy,
    late_usage,
    payments,
    progress,
    reminders,
    runs,
    self_tests,
    series,
    taxes,
    wallets,
)
from billing.admin.invoices import invoice_admin

__all__ = [
    "company",
    "coupons",
    "credit_notes",
    "customer_credit",
    "customer_payments",
    "emails",
    "findings",
    "invoice_admin",
    "late_policy",
    "late_usage",
    "payments",
    "progress",
    "reminders",
    "runs",
    "self_tests",
    "series",
    "taxes",
    "wallets",
]
