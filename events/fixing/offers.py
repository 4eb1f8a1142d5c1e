"""What staff can do about a problem or a cause of many: fixes to preview and apply, and pages to edit."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from catalog.models import Feature
from config.near_miss import nearest
from config.office.links import admin_url
from customers.models import Customer
from events.diagnosis.context import similar_external_ids
from events.fixing.properties import sent_names
from events.fixing.registry import ACTIONS
from events.reasons import Reason


@dataclass(frozen=True)
class Offer:
    """A button that fixes a cause: a fix (`action`) with its parameters, or a page (`url`).

    All `permissions` are needed. If the fix has a form to fill in, it isn't `is_complete`, and `assumed` may hold the
    likely entries.
    """

    label: str
    action: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    page_permission: str = ""
    is_complete: bool = True
    assumed: Mapping[str, str] = field(default_factory=dict)

    @property
    def permissions(self) -> tuple[str, ...]:
        return ACTIONS[self.action].permissions if self.action else (self.page_permission,)

    def address(self, **more: str) -> str:
        """Return the button's URL; `more` are further parameters for the fix's page."""
        if not self.action:
            return self.url
        return admin_url("events_debugger_fix", action=self.action, **self.parameters, **more)


@dataclass(frozen=True)
class Trouble:
    """The properties of a problem, or of the problems of one cause, that its fixes depend on."""

    reason: Reason
    event_name: str = ""
    external_id: str = ""
    feature: Feature | None = None
    first_at: datetime | None = None


def offers_for(trouble: Trouble, *, known_names: Iterable[str] = (), meant: Customer | None = None) -> list[Offer]:
    """List the possible fixes, the likeliest first. Problems that only the sender can correct have none.

    `known_names` are the catalog's event names. `meant` is the customer with a similar id: the id is then mapped to
    this customer before a new one is offered.
    """
    offer = _OFFERS.get(trouble.reason)
    return offer(trouble, known_names, meant) if offer else []


def nearly_named(external_id: str) -> Customer | None:
    """Return the customer whose external id was probably meant. One query of the customers' ids."""
    near = nearest(external_id, similar_external_ids(external_id))
    return Customer.objects.filter(external_id=near.name).first() if near else None


def _unknown_name(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
    name, known = trouble.event_name, list(known_names)
    near = nearest(name, known)
    offers = []
    if near:
        offers.append(Offer(f"Map it to {near.name}", "map_event_name", {"alias": name, "event_name": near.name}))
    elif known:
        parameters = {"alias": name, "choose": "1"}
        offers.append(Offer("Map it to a known name", "map_event_name", parameters, is_complete=False))
    create = admin_url("catalog_feature_add", event_name=name)
    return [*offers, Offer("Create a feature for it", url=create, page_permission="catalog.add_feature")]


def _unknown_customer(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
    external_id = trouble.external_id
    create = Offer("Create the customer", "create_customer", {"external_id": external_id, "name": external_id})
    if meant is None:
        return [create, Offer("Map it to a customer", "map_customer", {"alias": external_id}, is_complete=False)]
    mapping = {"alias": external_id, "customer": str(meant.pk)}
    return [Offer(f"Map it to {meant.name}", "map_customer", mapping), create]


def _archived_customer(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
    return [Offer("Activate the customer", "activate_customer", {"external_id": trouble.external_id})]


def _of_feature(label: str, action: str) -> Callable[[Trouble, Iterable[str], Customer | None], list[Offer]]:
    def offer(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
        if trouble.feature is None:
            return _open_feature(trouble, known_names, meant)
        return [Offer(label, action, {"feature": str(trouble.feature.pk)}), *_open_feature(trouble, known_names, meant)]

    return offer


def _earlier(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
    if trouble.feature is None:
        return _open_feature(trouble, known_names, meant)
    at = trouble.first_at.isoformat() if trouble.first_at else ""
    parameters = {"feature": str(trouble.feature.pk), "at": at}
    assumed = {"since": at} if at else {}
    earlier = Offer("Let it count earlier", "count_earlier", parameters, is_complete=False, assumed=assumed)
    return [earlier, *_open_feature(trouble, known_names, meant)]


def _filter(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
    extend = Offer("Extend a filter", "extend_filter", {"event_name": trouble.event_name}, is_complete=False)
    return [extend, *_open_feature(trouble, known_names, meant)]


def _field(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
    if trouble.feature is None:
        return _open_feature(trouble, known_names, meant)
    near = nearest(trouble.feature.field, sent_names(trouble.feature))
    label = f"Read {near.name if near else 'another property'} as {trouble.feature.field}"
    parameters = {"feature": str(trouble.feature.pk)} | ({"property": near.name} if near else {})
    alias = Offer(label, "alias_property", parameters, is_complete=near is not None)
    return [alias, *_open_feature(trouble, known_names, meant)]


def _open_feature(trouble: Trouble, known_names: Iterable[str], meant: Customer | None) -> list[Offer]:
    if trouble.feature is None:
        url = admin_url("catalog_feature_changelist", q=trouble.event_name)
        return [Offer("Look at its features", url=url, page_permission="catalog.view_feature")]
    url = admin_url("catalog_feature_change", trouble.feature.pk)
    return [Offer("Open the feature", url=url, page_permission="catalog.view_feature")]


_OFFERS: dict[Reason, Callable[[Trouble, Iterable[str], Customer | None], list[Offer]]] = {
    Reason.UNKNOWN_EVENT_NAME: _unknown_name,
    Reason.UNKNOWN_CUSTOMER: _unknown_customer,
    Reason.CUSTOMER_ARCHIVED: _archived_customer,
    Reason.FEATURE_ARCHIVED: _of_feature("Activate the feature", "activate_feature"),
    Reason.NOT_A_NUMBER: _of_feature("Accept numeric strings", "accept_numeric_strings"),
    Reason.BEFORE_FEATURE_START: _earlier,
    Reason.FILTER_MISMATCH: _filter,
    Reason.AGGREGATION_FIELD_MISSING: _field,
    Reason.UNUSABLE_VALUE: _open_feature,
    Reason.VALUE_OUT_OF_RANGE: _open_feature,
}
