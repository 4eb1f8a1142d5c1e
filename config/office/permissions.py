"""Rows that the system writes: what nobody does to them on any page or tab, whatever their permissions."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import TabularInline


class WrittenBySystem:
    """Nobody adds or deletes such a row here. Who may change it does so by its actions. Comes before `ModelAdmin`."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NeverChanged(WrittenBySystem):
    """Nobody changes such a row either: it is there to be read."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(NeverChanged, TabularInline):
    """Rows on another object's page, there to be read."""

    extra = 0
    can_delete = False
    show_title = False
