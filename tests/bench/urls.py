"""The product's URLs, and an empty DRF view on the same server."""

from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Empty(APIView):
    """Respond 202 without doing anything, as fast as a DRF view can."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        return Response({"message": "nothing"}, status=202)


urlpatterns = [path("bench/empty", Empty.as_view()), path("", include("config.urls"))]
