"""The API view of the sign-in log."""

from typing import Any, ClassVar

import django_filters as filters
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.filters import ManyFilter, MomentFilter, page
from config.api.openapi import listed, operation
from config.api.views import EVERYTHING, ApiView
from config.signin.models import SignInEvent, SignInKind


class SignInFilter(filters.FilterSet):
    event = ManyFilter(field_name="kind", help_text=", ".join(SignInKind.values))
    username = filters.CharFilter(field_name="username")
    at_from = MomentFilter(field_name="at", lookup_expr="gte", label="The earliest time, inclusive.")
    at_to = MomentFilter(field_name="at", lookup_expr="lt", label="The latest time, exclusive.")

    class Meta:
        model = SignInEvent
        fields: ClassVar[list[str]] = []


class SignInOut(serializers.Serializer[Any]):
    """A sign-in, failure, lock or sign-out, or a change of how a colleague signs in."""

    id = serializers.CharField(source="pk")
    event = serializers.ChoiceField(SignInKind.choices, source="kind")
    at = serializers.DateTimeField()
    username = serializers.CharField(help_text="Empty if the name belongs to no one: such names aren't stored.")
    detail = serializers.CharField(help_text="How the colleague signed in, or why it failed.")
    address = serializers.CharField(allow_null=True)
    user_agent = serializers.CharField()
    request_id = serializers.CharField()


class SignIns(ApiView):
    """List the sign-in log, newest first."""

    def scope_for(self, request: Request) -> str:
        return EVERYTHING

    @operation(
        "listSignIns",
        "List sign-ins",
        tag="Sign-ins",
        filters=SignInFilter,
        answers={200: listed("SignInList", SignInOut)},
        description="Sign-ins, failures, locks, sign-outs, and changes of second factors and passwords. Requires an API"
        " key with all scopes.",
    )
    def get(self, request: Request) -> Response:
        return page(request, SignInEvent.objects.order_by("-pk"), SignInFilter, SignInOut)
