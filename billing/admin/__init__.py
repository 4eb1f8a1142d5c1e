"""Billing in the admin: invoices, upcoming invoices, runs, number series, taxes, discounts, prepaid credit."""

from billing.admin import company, coupons, findings, invoices, runs, series, states, taxes, wallets

__all__ = ["company", "coupons", "findings", "invoices", "runs", "series", "states", "taxes", "wallets"]
