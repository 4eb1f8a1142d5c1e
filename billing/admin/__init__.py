"""Billing in the admin."""

from billing.admin import (
    company,
    coupons,
    credit_notes,
    customer_credit,
    findings,
    late_policy,
    late_usage,
    payments,
    progress,
    runs,
    series,
    taxes,
    wallets,
)
from billing.admin.invoices import invoices

__all__ = [
    "company",
    "coupons",
    "credit_notes",
    "customer_credit",
    "findings",
    "invoices",
    "late_policy",
    "late_usage",
    "payments",
    "progress",
    "runs",
    "series",
    "taxes",
    "wallets",
]
