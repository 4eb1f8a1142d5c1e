"""Everything that staff can do or read in the admin, and the operations of the API that do the same."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

ACTION_LISTS = ("actions", "actions_list", "actions_detail", "actions_row", "actions_submit_line")
FORMS = ("add", "change", "delete")


def list_admin_actions(request: HttpRequest) -> list[str]:
    """List the actions, forms and pages that the user of a request has, such as `billing.invoice.void_one`."""
    names = [
        f"{model._meta.label_lower}.{name}"
        for model, model_admin in admin.site._registry.items()
        for name in (*_list_actions(model_admin), *_list_forms(model_admin, request))
    ]
    return sorted({*names, *_list_pages()})


def _list_actions(model_admin: Any) -> Iterator[str]:
    for attribute in ACTION_LISTS:
        yield from _flatten(getattr(model_admin, attribute, None) or ())


def _flatten(actions: Iterable[Any]) -> Iterator[str]:
    for action in actions:
        if isinstance(action, dict):  # a menu of actions
            yield from _flatten(action.get("items", ()))
        else:
            yield action if isinstance(action, str) else action.__name__


def _list_forms(model_admin: Any, request: HttpRequest) -> Iterator[str]:
    for form in FORMS:
        if getattr(model_admin, f"has_{form}_permission")(request):
            yield form


def _list_pages() -> Iterator[str]:
    """List the pages that aren't a list or form of a table, with the pages that models add."""
    for pattern in admin.site.get_urls():
        name = getattr(pattern, "name", None)
        if name and name not in OF_DJANGO:
            yield f"page.{name}"
    for model, model_admin in admin.site._registry.items():
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        known = {*_list_actions(model_admin), *FORMS, "changelist", "history", "autocomplete"}
        for pattern in model_admin.get_urls():
            name = getattr(pattern, "name", None) or ""
            if name and name.removeprefix(prefix) not in known:
                yield f"page.{name}"


OF_DJANGO = {"login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "view_on_site"}
