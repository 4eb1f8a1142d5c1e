"""URLs of the API views of alarms."""

from django.urls import path

from config.alarms import api

urlpatterns = [
    path("alarms", api.Alarms.as_view()),
    path("alarms/<str:alarm_id>", api.OneAlarm.as_view()),
    path("alarms/<str:alarm_id>/acknowledge", api.AlarmAcknowledgment.as_view()),
]
