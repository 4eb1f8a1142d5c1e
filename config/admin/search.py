"""The search of the whole admin (Ctrl+K or Cmd+K): pages, actions, names, ids, invoice numbers and amounts."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

from django.apps import apps
from django.core.paginator import Paginator
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

from config.admin.commands import find_commands, find_pages
from config.numbers import number
from config.office.files import read_value
from config.office.pages import AdminView, clean_text

MOST_RESULTS = 6
RECENT = 20_000  # parts of numbers, and amounts, are only searched in so many of the latest rows
AMOUNT = re.compile(r"[^\w\s]?\s*(?:[A-Z]{3}\s*)?(\d[\d,]*(?:\.\d+)?)\s*(?:[A-Z]{3})?")


@dataclass(frozen=True)
class SearchedModel:
    """A model to search: the columns that may contain the term, and those that must equal it.

    `parts` are columns that may contain the term, and `amounts` those that may equal it as an amount, in recent rows.
    """

    model: str
    icon: str
    contains: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    described_by: tuple[str, ...] = ()
    related: tuple[str, ...] = ()


SEARCHED_MODELS = (
    SearchedModel(
        *("customers.Customer", "groups", ("name", "external_id"), ("public_id", "email")),
        described_by=("external_id",),
    ),
    SearchedModel(
        *("billing.Invoice", "receipt_long", (), ("number", "public_id"), ("number",), ("total", "amount_due")),
        *(("customer__name", "total", "currency", "get_state_display"), ("customer",)),
    ),
    SearchedModel(
        *("billing.CreditNote", "undo", (), ("number", "public_id"), ("number",), ("total",)),
        *(("invoice__customer__name", "total", "currency"), ("invoice__customer",)),
    ),
    SearchedModel(
        *("billing.Payment", "payments", (), ("reference", "public_id"), ("reference",), ("amount",)),
        *(("invoice__number", "amount", "invoice__currency"), ("invoice",)),
    ),
    SearchedModel(
        *("catalog.Feature", "category", ("name", "event_name"), ("public_id", "key")), described_by=("event_name",)
    ),
    SearchedModel("catalog.Plan", "sell", ("name",), ("public_id",)),
    SearchedModel("customers.Subscription", "autorenew", (), ("public_id", "key"), related=("customer",)),
    SearchedModel("events.Event", "data_object", (), ("event_id",), described_by=("event_name",)),
    SearchedModel("events.ApiKey", "key", ("name",), ("prefix",), described_by=("prefix",)),
    SearchedModel(
        *("auth.User", "badge", ("username", "first_name", "last_name", "email")), described_by=("get_full_name",)
    ),
)
NAMES = {"auth.User": "Staff"}


class Search(AdminView):
    """Answer the search with pages and actions first. Unfold's own view would keep answers for five minutes."""

    template_name = "unfold/helpers/command_results.html"

    def has_permission(self) -> bool:
        return True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        start = time.monotonic()
        pages = Paginator(find(self.request, clean_text(self.request.GET.get("s", ""))), 100)
        frame = {"page_counter": 0, "command_show_history": True, "execution_time": time.monotonic() - start}
        return super().get_context_data(page_obj=pages, results=pages.page(1), **frame, **kwargs)


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    """Return the pages, actions and rows that match and that the user can view. IDs are case-sensitive."""
    if not term:
        return []
    rows = chain.from_iterable(_results(searched, term, request) for searched in SEARCHED_MODELS)
    return [*find_pages(term, request), *find_commands(term, request), *rows]


def parse_amount(term: str) -> Decimal | None:
    """Read an amount as people write it, with or without its currency; None for other text.

    >>> parse_amount("€1,234.50")
    Decimal('1234.50')
    """
    match = AMOUNT.fullmatch(term.strip())
    return Decimal(match[1].replace(",", "")) if match else None


def _results(searched: SearchedModel, term: str, request: HttpRequest) -> Iterator[SearchResult]:
    model: Any = apps.get_model(searched.model)
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    if not request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
        return
    for row in _matching(model._default_manager.all(), searched, term)[:MOST_RESULTS]:
        details = [_text(read_value(row, source)) for source in searched.described_by]
        description = " · ".join([_name_of(model), *filter(None, details)])
        link = reverse(f"admin:{name}_change", args=[row.pk])
        yield SearchResult(title=str(row), description=description, link=link, icon=searched.icon)


def _matching(rows: QuerySet[Any], searched: SearchedModel, term: str) -> QuerySet[Any]:
    condition = Q()
    for column in searched.contains:
        condition |= Q(**{f"{column}__icontains": term})
    for column in searched.equals:
        condition |= Q(**{column: term})
    if recent := _recent(searched, term):
        newest = rows.aggregate(newest=Max("pk"))["newest"] or 0
        condition |= recent & Q(pk__gt=newest - RECENT)
    return rows.filter(condition).select_related(*searched.related)


def _recent(searched: SearchedModel, term: str) -> Q:
    condition = Q()
    if len(term) > 1:
        for column in searched.parts:
            condition |= Q(**{f"{column}__icontains": term})
    if (amount := parse_amount(term)) is not None and amount < 10**15:
        for column in searched.amounts:
            condition |= Q(**{column: amount})
    return condition


def _text(value: Any) -> str:
    value = value() if callable(value) else value
    return number(value) if isinstance(value, Decimal) else str(value or "")


def _name_of(model: Any) -> str:
    name = NAMES.get(model._meta.label, str(model._meta.verbose_name))
    return name[:1].upper() + name[1:]
