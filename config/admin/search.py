"""The search of the whole admin (Ctrl+K or Cmd+K): names, external IDs, invoice numbers, event IDs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

MOST_RESULTS = 6


@dataclass(frozen=True)
class SearchedModel:
    """A model to search: the columns that may contain the term, and those that must equal it."""

    model: str
    icon: str
    contains: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    described_by: str = ""


SEARCHED_MODELS = (
    SearchedModel("customers.Customer", "groups", ("name", "external_id"), ("public_id", "email"), "external_id"),
    SearchedModel("billing.Invoice", "receipt_long", (), ("number", "public_id")),
    SearchedModel("billing.CreditNote", "undo", (), ("number", "public_id")),
    SearchedModel("billing.Payment", "payments", (), ("reference", "public_id")),
    SearchedModel("catalog.Feature", "category", ("name", "event_name"), ("public_id", "key"), "event_name"),
    SearchedModel("catalog.Plan", "sell", ("name",), ("public_id",)),
    SearchedModel("customers.Subscription", "autorenew", (), ("public_id", "key")),
    SearchedModel("events.Event", "data_object", (), ("event_id",), "event_name"),
    SearchedModel("events.ApiKey", "key", ("name",), ("prefix",), "prefix"),
)


def find(request: HttpRequest, search_term: str) -> list[SearchResult]:
    """Return matching rows that the user can view. Events and invoices match by the exact ID, which an index finds."""
    term = request.GET.get("s", search_term).strip()  # `search_term` is lowercased, but IDs are case-sensitive
    return [result for searched in SEARCHED_MODELS for result in _results(searched, term, request)] if term else []


def _results(searched: SearchedModel, term: str, request: HttpRequest) -> Iterator[SearchResult]:
    model: Any = apps.get_model(searched.model)
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    if not request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
        return
    for row in _matching(model._default_manager.all(), searched, term)[:MOST_RESULTS]:
        detail = f" · {getattr(row, searched.described_by)}" if searched.described_by else ""
        link = reverse(f"admin:{name}_change", args=[row.pk])
        yield SearchResult(title=str(row), description=f"{_name_of(model)}{detail}", link=link, icon=searched.icon)


def _matching(rows: QuerySet[Any], searched: SearchedModel, term: str) -> QuerySet[Any]:
    condition = Q()
    for column in searched.contains:
        condition |= Q(**{f"{column}__icontains": term})
    for column in searched.equals:
        condition |= Q(**{column: term})
    if searched.model == "customers.Subscription":
        rows = rows.select_related("customer")
    return rows.filter(condition)


def _name_of(model: Any) -> str:
    name = str(model._meta.verbose_name)
    return name[:1].upper() + name[1:]
