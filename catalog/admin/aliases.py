"""Event name aliases."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from catalog.features import map_event_name
from catalog.models import EventNameAlias, Feature
from config.office.base import OfficeAdmin
from config.office.dialogs import staff


@admin.register(EventNameAlias)
class EventNameAliasAdmin(OfficeAdmin):
    """Wrong event names that clients send, and the event names they count as."""

    list_display = ("alias", "event_name", "reason", "created_by", "created_at")
    list_select_related = ("created_by",)
    list_filter = (("created_by", AutocompleteSelectFilter),)
    search_fields = ("alias", "event_name", "reason")
    fields = ("alias", "event_name", "reason", "created_by", "created_at")
    readonly_fields = ("created_by", "created_at")
    export_columns = (
        ("Name as sent", "alias"),
        ("Counts as", "event_name"),
        ("Reason", "reason"),
        ("Created by", "created_by__username"),
        ("Created at (UTC)", "created_at"),
    )
    empty_icon = "alt_route"
    empty_title = "No event name aliases"
    empty_text = "If a client sends a wrong event name and can't be fixed soon, map the name to the correct one here."

    def get_fields(self, request: HttpRequest, obj: EventNameAlias | None = None) -> tuple[str, ...]:
        return self.fields if obj else tuple(name for name in self.fields if name not in self.readonly_fields)

    def get_fieldsets(self, request: HttpRequest, obj: EventNameAlias | None = None) -> list[Any]:
        description = (
            "New events with this name, and events waiting as problems, count as the other event name."
            " The ledger keeps the name that was sent."
        )
        return [(None, {"fields": self.get_fields(request, obj), "description": description})]

    def get_readonly_fields(self, request: HttpRequest, obj: EventNameAlias | None = None) -> tuple[str, ...]:
        return ("alias", *self.readonly_fields) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.clean_alias = _clean_alias
        return form

    def save_model(self, request: HttpRequest, obj: EventNameAlias, form: Any, change: bool) -> None:
        alias = map_event_name(obj.alias, obj.event_name, by=staff(request), reason=obj.reason)
        obj.pk, obj.created_by = alias.pk, alias.created_by


def _clean_alias(form: Any) -> str:
    alias: str = form.cleaned_data["alias"]
    if Feature.objects.metered().active().filter(event_name=alias).exists():
        raise ValidationError("An active feature counts this name. Mapping it would take events from the feature.")
    return alias
