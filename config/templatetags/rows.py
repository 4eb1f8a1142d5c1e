"""The rows of a long list whose columns are all methods of its admin class, without a template per cell and row.

Unfold looks up what each cell of each row is, and renders its templates for each row. On a page of 50 events that took
more time than everything else (docs/performance.md).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe
from unfold.templatetags.unfold_list import TABLE_ACTION_CELL_CLASSES, TABLE_CELL_CLASSES, result_headers
from unfold.utils import display_for_value

register = template.Library()

ROW_CLASSES = ("relative", "relative bg-base-50 dark:bg-white/[.02]")
DISPLAYED_OTHERWISE = ("boolean", "label", "header", "dropdown")  # options of `display` that need Unfold's templates


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the method that returns its values, and the opening tag of its cells."""

    value_of: Callable[[Any], Any]
    opening: str


@register.filter
def has_plain_rows(cl: Any) -> bool:
    """Return whether no cell of the list is a model's field, a link to the row, or displayed by a template."""
    methods = [getattr(cl.model_admin, name, None) for name in cl.list_display if isinstance(name, str)]
    is_plain = all(method and not _is_displayed_otherwise(method) for method in methods)
    has_extras = cl.list_display_links is not None or cl.formset or cl.model_admin.actions_row
    return is_plain and not has_extras and len(methods) == len(cl.list_display)


@register.inclusion_tag("admin/office/plain_rows.html")
def plain_rows(cl: Any) -> dict[str, Any]:
    """Show the table of a list that `has_plain_rows`."""
    columns = [_make_column(name, getattr(cl.model_admin, name)) for name in cl.list_display]
    empty = cl.model_admin.get_empty_value_display()
    # Values are escaped by `_write_row`.
    rows = mark_safe("".join(_write_rows(cl.result_list, columns, empty)))  # noqa: S308
    return {"cl": cl, "result_headers": list(result_headers(cl)), "rows": rows}


def _is_displayed_otherwise(method: Any) -> bool:
    return any(getattr(method, option, None) for option in DISPLAYED_OTHERWISE)


def _make_column(name: str, method: Any) -> Column:
    classes = TABLE_ACTION_CELL_CLASSES if name == "action_checkbox" else [f"field-{name}", *TABLE_CELL_CLASSES]
    if getattr(method, "formatting", None) == "price":
        classes = [*classes, "!text-end"]
    return Column(method, f'<td class="{" ".join(classes)}">')


def _write_rows(rows: Iterable[Any], columns: list[Column], empty: str) -> Iterable[str]:
    for row, row_classes in zip(rows, cycle(ROW_CLASSES), strict=False):
        cells = "".join(f"{column.opening}{_write(column.value_of(row), empty)}</td>" for column in columns)
        yield f'<tbody class="{row_classes}"><tr class="data-row relative">{cells}</tr></tbody>'


def _write(value: Any, empty: str) -> str | SafeString:
    return conditional_escape(value if isinstance(value, str) else display_for_value(value, empty))
