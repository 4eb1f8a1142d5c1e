"""URLs of the API view of the change log."""

from django.urls import path

from config.change_log import api

urlpatterns = [path("change-log/status", api.ChangeLogChain.as_view())]
