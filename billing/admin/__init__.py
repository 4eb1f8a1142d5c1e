"""Billing in the admin: invoices, upcoming invoices, runs, number series."""

from billing.admin import company, findings, invoices, runs, series, states

__all__ = ["company", "findings", "invoices", "runs", "series", "states"]
