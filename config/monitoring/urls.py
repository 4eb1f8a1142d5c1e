"""URLs of the API view of the installation's state."""

from django.urls import path

from config.monitoring import api

urlpatterns = [path("system", api.System.as_view())]
