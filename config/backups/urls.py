"""URLs of the API view of backups."""

from django.urls import path

from config.backups import api

urlpatterns = [path("backups", api.Backups.as_view())]
