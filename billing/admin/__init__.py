"""Billing in the admin: invoices and their settling, taxes, discounts, prepaid credit, runs, series, the company."""

from billing.admin import (
    company,
    coupons,
    credit_notes,
    findings,
    invoices,
    late,
    payments,
    runs,
    series,
    states,
    taxes,
    wallets,
)

__all__ = [
    "company",
    "coupons",
    "credit_notes",
    "findings",
    "invoices",
    "late",
    "payments",
    "runs",
    "series",
    "states",
    "taxes",
    "wallets",
]
