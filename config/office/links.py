"""Addresses of admin pages."""

from typing import Any

from django.db.models import Model
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode


def admin_url(name: str, /, *args: Any, **query: str | int) -> str:
    """Return the address of an admin page by its name, or an empty string if no app has it."""
    try:
        base = reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return ""
    return f"{base}?{urlencode(query)}" if query else base


def page_of(row: Model) -> str:
    """Return the address of the row's admin page."""
    return admin_url(f"{row._meta.app_label}_{row._meta.model_name}_change", row.pk)
