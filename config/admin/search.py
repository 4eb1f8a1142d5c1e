"""What the search over the whole admin (Ctrl or Cmd and K) finds: names, external ids, invoice numbers, event ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

FOUND_OF_EACH = 6


@dataclass(frozen=True)
class Kind:
    """Something that can be found: which columns hold the term, which must equal it, and how a find is described."""

    model: str
    icon: str
    holds: tuple[str, ...] = ()
    equals: tuple[str, ...] = ()
    described_by: str = ""


KINDS = (
    Kind("customers.Customer", "groups", ("name", "external_id"), ("public_id", "email"), "external_id"),
    Kind("billing.Invoice", "receipt_long", (), ("number", "public_id")),
    Kind("billing.CreditNote", "undo", (), ("number", "public_id")),
    Kind("billing.Payment", "payments", (), ("reference", "public_id")),
    Kind("catalog.Feature", "category", ("name", "event_name"), ("public_id", "key"), "event_name"),
    Kind("catalog.Plan", "sell", ("name",), ("public_id",)),
    Kind("customers.Subscription", "autorenew", (), ("public_id", "key")),
    Kind("events.Event", "data_object", (), ("event_id",), "event_name"),
    Kind("events.ApiKey", "key", ("name",), ("prefix",), "prefix"),
)


def find(request: HttpRequest, search_term: str) -> list[SearchResult]:
    """Find what this user may view. Events and invoices by their whole id: those tables are never searched through."""
    term = request.GET.get("s", search_term).strip()  # the term itself comes in small letters; ids have capitals
    return [result for kind in KINDS for result in _found(kind, term, request)] if term else []


def _found(kind: Kind, term: str, request: HttpRequest) -> Iterator[SearchResult]:
    model: Any = apps.get_model(kind.model)
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    if not request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
        return
    for row in _rows(model._default_manager.all(), kind, term)[:FOUND_OF_EACH]:
        more = f" · {getattr(row, kind.described_by)}" if kind.described_by else ""
        link = reverse(f"admin:{name}_change", args=[row.pk])
        yield SearchResult(title=str(row), description=f"{_name_of(model)}{more}", link=link, icon=kind.icon)


def _rows(rows: QuerySet[Any], kind: Kind, term: str) -> QuerySet[Any]:
    wanted = Q()
    for column in kind.holds:
        wanted |= Q(**{f"{column}__icontains": term})
    for column in kind.equals:
        wanted |= Q(**{column: term})
    if kind.model == "customers.Subscription":
        rows = rows.select_related("customer")
    return rows.filter(wanted)


def _name_of(model: Any) -> str:
    name = str(model._meta.verbose_name)
    return name[:1].upper() + name[1:]
