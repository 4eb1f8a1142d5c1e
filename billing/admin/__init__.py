"""Billing in the admin: invoices, upcoming invoices, runs, number series."""

from billing.admin import company, invoices, runs, series, states

__all__ = ["company", "invoices", "runs", "series", "states"]
