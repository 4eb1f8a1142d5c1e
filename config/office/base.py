"""What the admin pages of this office share. Apps above build their pages on `OfficeAdmin` too."""

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from config.office.exports import ExportsList
from config.office.history import history_of

SHOWN_CHANGES = 5
FILTERS_OF_PAGE = {"p", "o", "q", "all", "e", "_popup", "_to_field", "_facets"}


class AuditedHistory:
    """The history of an object from the log of changes, for an admin of audited rows. Comes before `ModelAdmin`."""

    admin_site: Any
    opts: Any
    get_object: Callable[..., Any]
    has_view_or_change_permission: Callable[..., bool]
    _get_obj_does_not_exist_redirect: Callable[..., Any]

    def parts_of(self, obj: Any) -> Iterable[Model]:
        """Return the rows whose changes are shown in the object's history, beside its own."""
        return ()

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show everything that happened to the object: for staff who may see it."""
        obj = self.get_object(request, object_id)
        if obj is None:
            response: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return response
        if not self.has_view_or_change_permission(request, obj):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": f"History: {obj}",
            "opts": self.opts,
            "object": obj,
            "original": obj,
            "changes": history_of(obj, *self.parts_of(obj)),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/catalog/changes_page.html", context)


class OfficeAdmin(AuditedHistory, ExportsList, ModelAdmin):
    """A list that can be searched, filtered and exported, and an object page that ends with its history.

    Subclasses name what an empty list should say to do next, and the parts whose changes belong to an object's.
    """

    empty_title = "Nothing here yet"
    empty_text = ""
    empty_icon = "inbox"
    view_on_site = False  # these pages are the objects' own
    list_filter_submit = True
    list_filter_sheet = False
    list_per_page = 50
    add_inlines: tuple[Any, ...] = ()
    show_full_result_count = False
    warn_unsaved_form = True
    change_form_outer_after_template = "admin/catalog/changes_panel.html"

    def facts_of(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return what the object page's own templates need beside the form."""
        return {}

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Show what belongs to an object once there is one, unless a subclass lets it be typed at once."""
        inlines = super().get_inlines(request, obj)
        return inlines if obj is not None else [inline for inline in inlines if inline in self.add_inlines]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, forms.Textarea):
            field.widget.attrs["rows"] = 3
        return field

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            changes = history_of(obj, *self.parts_of(obj), limit=SHOWN_CHANGES)
            context |= {"changes": changes, **self.facts_of(request, obj)}
        response: HttpResponse = super().render_change_form(request, context, add, change, form_url, obj)
        return response

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        narrowed = bool(request.GET.get("q")) or bool(set(request.GET) - FILTERS_OF_PAGE)
        response: HttpResponse = super().changelist_view(
            request, {"list_is_narrowed": narrowed, **(extra_context or {})}
        )
        return response

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:  # one by one, so that each deletion is in the history
            self.delete_model(request, obj)
