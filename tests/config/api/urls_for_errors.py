"""Views that fail in every way, for the tests of the error body."""

from django.core.exceptions import PermissionDenied
from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.api.errors import AlreadyExists, InvalidOperation
from config.api.views import ApiView
from config.urls import handler400, handler403, handler404, handler500
from config.urls import urlpatterns as real_patterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class KeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> None:
        return None

    def authenticate_header(self, request: Request) -> str:
        return "ApiKey"


class Closed(APIView):
    authentication_classes = [KeyAuthentication]

    def get(self, request: Request) -> Response:
        return Response({})


class Amount(serializers.Serializer):
    amount = serializers.DecimalField(max_digits=40, decimal_places=20)


class Kind(serializers.Serializer):
    kind = serializers.ChoiceField(["fee", "usage"])


class Open(ApiView):
    authentication_classes = []
    permission_classes = [AllowAny]
    raises: Exception | None = None
    form: type[serializers.Serializer] = Amount

    def get(self, request: Request) -> Response:
        if self.raises:
            raise self.raises
        return Response({})

    def post(self, request: Request) -> Response:
        form = self.form(data=request.data)
        form.is_valid(raise_exception=True)
        return Response(form.validated_data)


FAILURES = {
    "conflict": AlreadyExists("A customer with external_id acme exists already."),
    "state": InvalidOperation("The invoice is final.", {"status": "finalized"}),
    "forbidden": PermissionDenied(),
    "throttled": Throttled(wait=1.2),
    "broken": RuntimeError("the secret is 42"),
}

urlpatterns = [
    path("v1/test/closed", Closed.as_view()),
    path("v1/test/open", Open.as_view()),
    path("v1/test/kind", Open.as_view(form=Kind)),
    *[path(f"v1/test/{name}", Open.as_view(raises=error)) for name, error in FAILURES.items()],
    *real_patterns,
]
