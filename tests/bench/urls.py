"""The product's URLs, and on the same server an empty DRF view and an empty admin page."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Empty(APIView):
    """Respond 202 without doing anything, as fast as a DRF view can."""

    schema = None
    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        return Response({"message": "nothing"}, status=202)


def empty_page(request: HttpRequest) -> HttpResponse:
    """Respond with the frame of the admin: header, sidebar with its counts, no content."""
    return render(request, "admin/base_site.html", admin.site.each_context(request))


urlpatterns = [
    path("bench/empty", Empty.as_view()),
    path("admin/bench/empty/", admin.site.admin_view(empty_page), name="bench_empty_page"),
    path("", include("config.urls")),
]
