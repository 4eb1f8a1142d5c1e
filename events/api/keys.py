"""API views for API keys: create, list, rename, rotate, revoke. A key is shown once, when it is created."""

from datetime import timedelta
from typing import Any, ClassVar

import django_filters as filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.contract import ContractAnswer
from config.api.fields import BlankAsNullField, ConstantField, MomentField
from config.api.filters import page
from config.api.openapi import listed, operation
from config.api.reasons import OptionalReasonIn, reason_in
from config.api.views import ApiView, get_or_404, read_body, require_scope
from config.approvals.requests import waiting_about
from config.audit import recorded
from events.access.authentication import caller_of
from events.access.keys import change_key, make_key, revoke, rotate
from events.models import ApiKey, Scope

TAG = "API keys"
MOST_OVERLAP_HOURS = 24 * 7
GRANTS = "A key can only create, rotate and revoke keys whose scopes it has itself."


class KeyChange(serializers.Serializer[Any]):
    """The name and rate limits to change. A limit of null is the company's limit; 0 means no limit."""

    name = serializers.CharField(max_length=255, required=False)
    single_per_minute = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    bulk_per_minute = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)


class KeyIn(KeyChange):
    """A new API key."""

    name = serializers.CharField(max_length=255)
    type = serializers.ChoiceField(["private_key"], default="private_key")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(Scope.choices),
        required=False,
        min_length=1,
        help_text="What the key may do. Defaults to the scopes of the key that sends the request.",
    )
    expires_at = MomentField(required=False, allow_null=True, help_text="Defaults to never.")

    def validate_expires_at(self, value: Any) -> Any:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This time has passed, so the key would never work.")
        return value


class RotationIn(serializers.Serializer[Any]):
    """How long the old key continues to work."""

    overlap_hours = serializers.IntegerField(min_value=0, max_value=MOST_OVERLAP_HOURS, default=0)


class KeyOut(ContractAnswer):
    """An API key without its secret. A revoked key is archived."""

    nulls = ("roles", "service_account_name", "user_id", "user_type")

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    display_id = serializers.SerializerMethodField(help_text="The key's first characters.")
    type = ConstantField("private_key")
    provider = ConstantField("flexprice")
    status = serializers.SerializerMethodField()
    scopes = serializers.ListField(child=serializers.ChoiceField(Scope.choices))
    single_per_minute = serializers.IntegerField(allow_null=True)
    bulk_per_minute = serializers.IntegerField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    awaits_approval = serializers.BooleanField(help_text="Requests with the key are refused until it is approved.")
    replaces_id = serializers.CharField(source="replaces.public_id", default=None, allow_null=True)
    created_by = BlankAsNullField(source="created_by.username", default=None)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_display_id(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    def get_status(self, key: ApiKey) -> str:
        return "published" if key.revoked_at is None else "archived"


class NewKeyOut(serializers.Serializer[Any]):
    """A new key. `api_key` is only shown here: a repeated request with the same Idempotency-Key answers null."""

    api_key = serializers.CharField(allow_null=True)
    secret = KeyOut()
    approval_id = serializers.CharField(allow_null=True, help_text="The request for its approval, if that is needed.")


class KeyFilter(filters.FilterSet):
    status = filters.CharFilter(method="with_status", label="published, or archived for revoked keys.")

    class Meta:
        model = ApiKey
        fields: ClassVar[list[str]] = []

    def with_status(self, rows: QuerySet[ApiKey], name: str, value: str) -> QuerySet[ApiKey]:
        return rows.filter(Q(revoked_at=None) if value == "published" else Q(revoked_at__isnull=False))


def keys() -> QuerySet[ApiKey]:
    return ApiKey.objects.select_related("replaces", "created_by").order_by("-pk")


def key_of(key_id: str) -> ApiKey:
    return get_or_404(keys(), "API key", public_id=key_id)


def _answer(key: ApiKey, secret: str) -> Response:
    """Show a new key: 201, or 202 if it can't be used until someone else has approved it."""
    body = {"api_key": secret, "secret": key_of(key.public_id), "approval_id": None}
    if key.awaits_approval:
        body["approval_id"] = waiting_about(key, now=timezone.now()).get().public_id
    return Response(NewKeyOut(body).data, status=202 if key.awaits_approval else 201)


class KeyView(ApiView):
    """A view that changes keys, limited to those whose scopes the caller has."""

    write_scope = Scope.KEYS_WRITE
    shown_once = "api_key"

    def require_scopes_of(self, key: ApiKey) -> None:
        for scope in key.scopes:
            require_scope(self.request, scope)


class Keys(KeyView):
    """Create an API key, or list API keys."""

    @operation("listApiKeys", "List API keys", tag=TAG, answers={200: listed("ApiKeyList", KeyOut)}, filters=KeyFilter)
    def get(self, request: Request) -> Response:
        return page(request, keys(), KeyFilter, KeyOut)

    @operation(
        "createApiKey",
        "Create an API key",
        refusals="`expires_at` can't have passed.",
        tag=TAG,
        body=KeyIn,
        answers={201: NewKeyOut, 202: NewKeyOut},
        example={"name": "Production", "type": "private_key", "scopes": ["events:write"]},
        description=f"{GRANTS} A key that expires can't create a key that works longer than itself. If a rule "
        "requires approval, the answer is 202, and requests with the key are refused until someone else approves it.",
    )
    def post(self, request: Request) -> Response:
        body, caller = read_body(request, KeyIn), caller_of(request)
        body.pop("type")
        body.setdefault("scopes", sorted(caller.scopes))
        for scope in body["scopes"]:
            require_scope(request, scope)
        if caller.expires_at is not None:
            body["expires_at"] = min(body.get("expires_at") or caller.expires_at, caller.expires_at)
        return _answer(*make_key(**body, by_key=caller, responsible_id=caller.responsible_id))


class OneKey(KeyView):
    """Retrieve, rename or revoke an API key."""

    @operation("getApiKey", "Retrieve an API key", tag=TAG, answers={200: KeyOut}, errors=(404,))
    def get(self, request: Request, key_id: str) -> Response:
        return Response(KeyOut(key_of(key_id)).data)

    @operation(
        "updateApiKey",
        "Update an API key",
        tag=TAG,
        body=KeyChange,
        answers={200: KeyOut},
        errors=(400, 404),
        example={"name": "Production, EU", "single_per_minute": 6000},
        description="Name and rate limits can change. For other scopes, create a new key.",
    )
    def put(self, request: Request, key_id: str) -> Response:
        key, body = key_of(key_id), read_body(request, KeyChange)
        self.require_scopes_of(key)
        change_key(key, **body)
        return Response(KeyOut(key).data)

    @operation(
        "deleteApiKey",
        "Revoke an API key",
        tag=TAG,
        body=OptionalReasonIn,
        answers={204: None},
        errors=(404,),
        example={"reason": "The laptop was lost"},
        refusals="The self-test's key can't be revoked.",
        description=f"Permanent. Within three seconds, requests with the key get a 401 response. {GRANTS}",
    )
    def delete(self, request: Request, key_id: str) -> Response:
        key, body = key_of(key_id), read_body(request, OptionalReasonIn)
        self.require_scopes_of(key)
        with recorded(by=None, reason=reason_in(body)):
            revoke(key, now=timezone.now())
        return Response(status=204)


class KeyRotation(KeyView):
    """Create a key with the same name, scopes and limits. The old key stops working after `overlap_hours`."""

    @operation(
        "rotateApiKey",
        "Rotate an API key",
        tag=TAG,
        body=RotationIn,
        answers={201: NewKeyOut, 202: NewKeyOut},
        errors=(400, 404),
        example={"overlap_hours": 24},
        refusals="The self-test's key can't be rotated.",
        description=f"Fails (400) if the key is revoked, expired or already replaced. If a rule requires approval, the "
        f"answer is 202, and the old key works until someone else approves the new one. {GRANTS}",
    )
    def post(self, request: Request, key_id: str) -> Response:
        key, hours = key_of(key_id), read_body(request, RotationIn)["overlap_hours"]
        self.require_scopes_of(key)
        with recorded(by=None, reason=f"Rotated: the old key stops working in {hours} hours"):
            overlap, caller = timedelta(hours=hours), caller_of(request)
            return _answer(*rotate(key, now=timezone.now(), overlap=overlap, by_key=caller))
