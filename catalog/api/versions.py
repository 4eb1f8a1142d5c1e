"""API views for plan versions, and for wrong event names that are mapped to the right ones."""

from typing import Any, ClassVar

import django_filters as filters
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.plans import TAG, WRITE, plan_of
from catalog.features import map_event_name, unmap_event_name
from catalog.models import EventNameAlias, Plan, PlanVersion
from catalog.models.plans import VersionState
from catalog.publishing import get_or_create_draft, publish_draft
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import ApiView, get_or_404, read_body


class VersionOut(serializers.Serializer[Any]):
    """A version of a plan's prices and entitlements. A published version never changes; subscriptions keep theirs."""

    plan_id = serializers.CharField(source="plan.public_id")
    version = serializers.IntegerField(source="number")
    state = serializers.ChoiceField(VersionState.choices)
    trial_days = serializers.IntegerField()
    is_held = serializers.BooleanField(help_text="A draft on hold isn't published by the next new subscription.")
    note = serializers.CharField()
    published_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class DraftIn(serializers.Serializer[Any]):
    """Whether the next new subscription may publish the draft."""

    is_held = serializers.BooleanField(default=True)


class PublishIn(OptionalReasonIn):
    """What changed and why; it is stored with the version and in the change log."""


class VersionFilter(filters.FilterSet):
    state = filters.CharFilter(field_name="state", label="draft or published.")

    class Meta:
        model = PlanVersion
        fields: ClassVar[list[str]] = []


def lists_versions(name: str, noun: str, *, tag: str) -> Any:
    """Describe the operation that lists the versions of `noun`, such as "a plan". Its name is that of the list, too."""
    return operation(
        name,
        f"List the versions of {noun}",
        tag=tag,
        answers={200: listed(f"{name.removeprefix('list').removesuffix('s')}List", VersionOut)},
        filters=VersionFilter,
        errors=(400, 404),
    )


def list_versions(request: Request, plan: Plan) -> Response:
    """Return the versions of a plan or an add-on, newest first."""
    return page(request, plan.versions.select_related("plan").order_by("-pk"), VersionFilter, VersionOut)


def opens_draft(name: str, noun: str, *, tag: str) -> Any:
    """Describe the operation that opens a draft of `noun`."""
    return operation(
        name,
        f"Open a draft of {noun}",
        tag=tag,
        body=DraftIn,
        answers={200: VersionOut},
        errors=(400, 404),
        example={"is_held": True},
        description="Copies the newest published version. An existing draft is returned unchanged.",
    )


def open_draft(request: Request, plan: Plan) -> Response:
    """Open a draft of a plan or an add-on, or return the one that is open."""
    held = read_body(request, DraftIn)["is_held"]
    return Response(VersionOut(get_or_create_draft(plan, by=None, held=held)).data)


def publishes_draft(name: str, noun: str, *, tag: str) -> Any:
    """Describe the operation that publishes the draft of `noun`."""
    return operation(
        name,
        f"Publish {noun}'s draft",
        tag=tag,
        body=PublishIn,
        answers={200: VersionOut},
        may_wait=True,
        errors=(400, 404),
        example={"reason": "Prices of 2026"},
        description="Fails (400) if there is no draft, and names every problem of its prices and entitlements.",
    )


def publish(request: Request, plan: Plan) -> Response:
    """Publish the draft of a plan or an add-on."""
    note = reason_in(read_body(request, PublishIn))
    return Response(VersionOut(publish_draft(plan, note=note, now=timezone.now(), by=None)).data)


class PlanVersions(ApiView):
    """List a plan's versions, newest first, or open a draft."""

    write_scope = WRITE

    @lists_versions("listPlanVersions", "a plan", tag=TAG)
    def get(self, request: Request, plan_id: str) -> Response:
        return list_versions(request, plan_of(plan_id))

    @opens_draft("createPlanVersion", "a plan", tag=TAG)
    def post(self, request: Request, plan_id: str) -> Response:
        return open_draft(request, plan_of(plan_id))


class PlanPublication(ApiView):
    """Publish a plan's draft: it never changes afterward. New subscriptions use it; others keep their version."""

    write_scope = WRITE

    @publishes_draft("publishPlan", "a plan", tag=TAG)
    def post(self, request: Request, plan_id: str) -> Response:
        return publish(request, plan_of(plan_id))


class EventNameAliasIn(OptionalReasonIn):
    """A wrong event name, and the name that its events count as."""

    alias = serializers.CharField(max_length=255)
    event_name = serializers.CharField(max_length=255)


class EventNameAliasOut(serializers.Serializer[Any]):
    """A wrong event name, and the name that its events count as."""

    alias = serializers.CharField()
    event_name = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class EventNameAliasFilter(filters.FilterSet):
    alias = filters.CharFilter(field_name="alias")
    event_name = filters.CharFilter(field_name="event_name")

    class Meta:
        model = EventNameAlias
        fields: ClassVar[list[str]] = []


class EventNameAliases(ApiView):
    """Map a wrong event name to the right one, or list the mappings. Problems with the name are replayed."""

    write_scope = WRITE

    @operation(
        "listEventNameAliases",
        "List event name aliases",
        tag="Features",
        answers={200: listed("EventNameAliasList", EventNameAliasOut)},
        filters=EventNameAliasFilter,
    )
    def get(self, request: Request) -> Response:
        return page(request, EventNameAlias.objects.order_by("-pk"), EventNameAliasFilter, EventNameAliasOut)

    @operation(
        "mapEventName",
        "Map an event name",
        tag="Features",
        body=EventNameAliasIn,
        answers={200: EventNameAliasOut},
        example={"alias": "api.call", "event_name": "api.calls", "reason": "Sent by the old app"},
        description="A second request with the same alias changes its event name.",
    )
    def post(self, request: Request) -> Response:
        body = read_body(request, EventNameAliasIn)
        alias = map_event_name(body["alias"], body["event_name"], by=None, reason=reason_in(body))
        return Response(EventNameAliasOut(alias).data)


class OneEventNameAlias(ApiView):
    """Remove the mapping of an event name. Usage is counted again without it."""

    write_scope = WRITE

    @operation("deleteEventNameAlias", "Remove an event name alias", tag="Features", answers={204: None}, errors=(404,))
    def delete(self, request: Request, event_name_alias: str) -> Response:
        mapping = get_or_404(EventNameAlias.objects.all(), "event name alias", alias=event_name_alias)
        unmap_event_name(mapping, by=None)
        return Response(status=204)
