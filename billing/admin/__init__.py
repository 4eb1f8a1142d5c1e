"""Billing in the admin: invoices, upcoming invoices, runs, number series."""

from billing.admin import invoices, runs, series, states

__all__ = ["invoices", "runs", "series", "states"]
