"""What staff can do about a problem: links to the page that mends its cause, filled in as far as it is known."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from catalog.models import Feature
from events.reasons import Reason


@dataclass(frozen=True)
class Fix:
    """A page that mends a cause, in the words of a button, and the permission that the page asks for."""

    label: str
    url: str
    permission: str


@dataclass(frozen=True)
class Trouble:
    """What a fix needs to know of a problem, or of a group of problems with one cause."""

    reason: Reason
    event_name: str = ""
    external_id: str = ""
    feature: Feature | None = None


def fixes_for(trouble: object, *, known_names: Iterable[str] = ()) -> list[Fix]:
    """List the fixes of a problem or a cause, the likeliest first. With the catalog's names it offers a near miss.

    What can only be corrected in the sender has none.
    """
    asked = Trouble(
        Reason(trouble.reason),  # type: ignore[attr-defined]
        getattr(trouble, "event_name", ""),
        getattr(trouble, "external_id", "") or getattr(trouble, "external_customer_id", ""),
        getattr(trouble, "feature", None),
    )
    offer = _OFFERS.get(asked.reason)
    return offer(asked, known_names) if offer else []


def _unknown_name(trouble: Trouble, known_names: Iterable[str]) -> list[Fix]:
    from events.near_miss import nearest

    near = nearest(trouble.event_name, known_names)
    target = {"event_name": near.name} if near else {}
    label = f"Map it to {near.name}" if near else "Map it to a known name"
    return [
        Fix(
            label,
            _page("catalog_eventnamealias_add", alias=trouble.event_name, **target),
            "catalog.add_eventnamealias",
        ),
        Fix(
            "Create a feature for it",
            _page("catalog_feature_add", event_name=trouble.event_name),
            "catalog.add_feature",
        ),
    ]


def _unknown_customer(trouble: Trouble, known_names: Iterable[str]) -> list[Fix]:
    return [
        Fix(
            "Create the customer",
            _page("customers_customer_add", external_id=trouble.external_id),
            "customers.add_customer",
        ),
        Fix(
            "Map it to a customer",
            _page("customers_customeralias_add", alias=trouble.external_id),
            "customers.add_customeralias",
        ),
    ]


def _archived_customer(trouble: Trouble, known_names: Iterable[str]) -> list[Fix]:
    url = _page("customers_customer_changelist", q=trouble.external_id)
    return [Fix("Find the customer, to activate it", url, "customers.view_customer")]


def _feature(label: str) -> Callable[[Trouble, Iterable[str]], list[Fix]]:
    def offer(trouble: Trouble, known_names: Iterable[str]) -> list[Fix]:
        if trouble.feature is None:
            url = _page("catalog_feature_changelist", q=trouble.event_name)
            return [Fix("Look at its features", url, "catalog.view_feature")]
        url = reverse("admin:catalog_feature_change", args=[trouble.feature.pk])
        return [Fix(label, url, "catalog.view_feature")]

    return offer


def _page(name: str, **given: str) -> str:
    return f"{reverse(f'admin:{name}')}?{urlencode(given)}"


_OFFERS: dict[Reason, Callable[[Trouble, Iterable[str]], list[Fix]]] = {
    Reason.UNKNOWN_EVENT_NAME: _unknown_name,
    Reason.UNKNOWN_CUSTOMER: _unknown_customer,
    Reason.CUSTOMER_ARCHIVED: _archived_customer,
    Reason.FEATURE_ARCHIVED: _feature("Open the feature, to activate it"),
    Reason.BEFORE_FEATURE_START: _feature("Open the feature, to let it count earlier"),
    Reason.FILTER_MISMATCH: _feature("Open the feature's filters"),
    Reason.AGGREGATION_FIELD_MISSING: _feature("Open the feature"),
    Reason.NOT_A_NUMBER: _feature("Let the feature accept numeric strings"),
    Reason.UNUSABLE_VALUE: _feature("Open the feature"),
    Reason.VALUE_OUT_OF_RANGE: _feature("Open the feature"),
}
