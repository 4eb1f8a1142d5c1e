"""The admin classes that the apps' admin pages extend: `BaseAdmin`, and `OfficeAdmin` for records that staff edit."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.utils import unquote
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from unfold.admin import ModelAdmin

from config.office.exports import ExportsList
from config.office.history import history_of
from config.refusals import Refused

LATEST_CHANGES = 5
RANGE_ENDS = ("from", "to", "from_0", "from_1", "to_0", "to_1")
LOOKUPS = ("exact", "in", "isnull", "icontains", "gte", "lte", "gt", "lt", "id__exact", "pk__exact", "pk__in")
NOT_FILTERS = {"p", "o", "q", "all", "e", "older_than", "newer_than", "_popup", "_to_field", "_facets"}


class DeclaredLookups:
    """Accept only the filters of `list_filter` in a list's address. Comes before `ModelAdmin`.

    Django accepts any lookup of any column, by which `?secret__startswith=a` would reveal a secret letter by letter,
    and `__regex` would keep the database busy.
    """

    list_filter: ClassVar[Any] = ()
    get_list_filter: Callable[..., Any]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        filters = self.list_filter if request is None else self.get_list_filter(request)
        return any(lookup in _parameters(item) for item in filters)


def _parameters(item: Any) -> set[str]:
    """Return the parameters of a filter: a class, a field, or a field with its class."""
    if isinstance(item, type):
        name = str(getattr(item, "parameter_name", ""))
        return {name, *(f"{name}_{end}" for end in RANGE_ENDS)}
    name = item[0] if isinstance(item, (list, tuple)) else item
    return {name, *(f"{name}__{suffix}" for suffix in LOOKUPS), *(f"{name}_{end}" for end in RANGE_ENDS)}


def _of_a_row(pattern: URLPattern, key: Any) -> URLPattern:
    if "object_id" not in pattern.pattern.converters:
        return pattern
    view = pattern.callback

    @wraps(view)
    def answer(request: HttpRequest, object_id: Any, **kwargs: Any) -> HttpResponse:
        try:
            key.to_python(unquote(str(object_id)))
        except ValidationError as error:
            raise Http404 from error
        response: HttpResponse = view(request, object_id=object_id, **kwargs)
        return response

    return URLPattern(pattern.pattern, answer, pattern.default_args, pattern.name)


class RefusedForm(forms.ModelForm):
    """A form that isn't valid, for the reasons why saving it was refused: by field, or under its name for the whole."""

    refusals: ClassVar[dict[str, list[str]]] = {}

    def clean(self) -> Any:
        cleaned = super().clean()
        for name, reasons in self.refusals.items():
            self.add_error(name if name in self.fields else None, reasons)
        return cleaned


def _reasons_of(refusal: Refused | ValidationError) -> dict[str, list[str]]:
    if isinstance(refusal, Refused):
        return {NON_FIELD_ERRORS: [str(refusal)]}
    return refusal.message_dict if hasattr(refusal, "error_dict") else {NON_FIELD_ERRORS: refusal.messages}


class BaseAdmin(DeclaredLookups, ModelAdmin):
    """A list that explains what to do when it is empty, or when nothing matches its filters.

    `empty_link` is a button for the empty list: its text and the name of an admin page. `list_title` replaces the
    plural of the model's name.
    """

    change_list_template = "admin/office/list.html"
    list_filter_submit = True
    list_title = ""
    empty_icon = "inbox"
    empty_title = "Nothing here yet"
    empty_text = ""
    empty_link: tuple[str, str] | None = None
    no_matches_text = "Change or reset the filters."

    @property
    def urls(self) -> list[URLPattern]:
        """Answer 404 to addresses of rows that can't exist, such as "2/statement", before a view looks for the row."""
        return [_of_a_row(pattern, self.opts.pk) for pattern in self.get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = self.list_title or str(self.opts.verbose_name_plural)
        context: dict[str, Any] = {
            "title": title[:1].upper() + title[1:],
            "list_is_narrowed": bool(request.GET.get("q")) or bool(set(request.GET) - NOT_FILTERS),
        }
        if self.empty_link:
            text, page = self.empty_link
            context |= {"empty_link_text": text, "empty_link_url": reverse(f"admin:{page}")}
        return super().changelist_view(request, context | (extra_context or {}))  # type: ignore[no-any-return]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form again with the reason if saving is refused. Nothing is saved then."""
        try:
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[no-any-return]
        except (Refused, ValidationError) as refusal:
            request.refusals = _reasons_of(refusal)  # type: ignore[attr-defined]  # `get_form` reads it
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[no-any-return]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if refusals := getattr(request, "refusals", None):
            return type(form.__name__, (RefusedForm, form), {"refusals": refusals})
        return form

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask whether to delete the row, under the product's title instead of Django's."""
        context = {"title": "Delete"} | (extra_context or {})
        return super().delete_view(request, object_id, context)  # type: ignore[no-any-return]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """List what is deleted with the rows, without the tables that only link rows to each other."""
        deleted, counts, lacking, kept = super().get_deleted_objects(objs, request)
        named = {name: count for name, count in counts.items() if not str(name).endswith(" relationships")}
        return deleted, named, lacking, kept

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Name the filter by state as the column: status."""
        changelist = super().get_changelist_instance(request)
        for spec in changelist.filter_specs:
            if str(spec.title) == "state":
                spec.title = "status"
        return changelist


class AuditedHistory:
    """The history page of a row from the change log. Comes before `ModelAdmin`."""

    admin_site: Any
    opts: Any
    get_object: Callable[..., Any]
    has_view_or_change_permission: Callable[..., bool]
    _get_obj_does_not_exist_redirect: Callable[..., Any]

    def parts_of(self, obj: Any) -> Iterable[Model]:
        """Return related rows whose changes belong to the history of this row."""
        return ()

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show every change of the row to staff who can view it."""
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
        return TemplateResponse(request, "admin/office/changes_page.html", context)


class OfficeAdmin(AuditedHistory, ExportsList, BaseAdmin):
    """A list to search, filter and export, and forms that end with the latest changes."""

    view_on_site = False
    list_filter_sheet = False
    list_per_page = 50
    add_inlines: tuple[Any, ...] = ()
    show_full_result_count = False
    warn_unsaved_form = True
    change_form_outer_after_template = "admin/office/changes_panel.html"

    def facts_of(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return what the templates of the row's page need in addition to the form."""
        return {}

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Show inlines for existing rows only, except those in `add_inlines`."""
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
            changes = history_of(obj, *self.parts_of(obj), limit=LATEST_CHANGES)
            context |= {"changes": changes, **self.facts_of(request, obj)}
        response: HttpResponse = super().render_change_form(request, context, add, change, form_url, obj)
        return response

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:  # row by row, so that the change log has an entry for each
            self.delete_model(request, obj)
