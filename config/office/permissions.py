"""Permissions of rows that the system writes: they limit staff whatever permissions they have."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import TabularInline


class WrittenBySystem:
    """No one can add or delete these rows in the admin; actions change them. Comes before `ModelAdmin`."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NeverChanged(WrittenBySystem):
    """No one can add, change or delete these rows in the admin."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(NeverChanged, TabularInline):
    """Read-only rows on another row's page."""

    extra = 0
    can_delete = False
    show_title = False
