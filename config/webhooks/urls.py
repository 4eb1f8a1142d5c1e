"""URLs of the API views of webhooks."""

from django.urls import path

from config.webhooks import api

urlpatterns = [
    path("webhooks", api.Endpoints.as_view()),
    path("webhook-deliveries", api.Deliveries.as_view()),
    path("webhook-deliveries/<str:delivery_id>", api.OneDelivery.as_view()),
    path("webhook-deliveries/<str:delivery_id>/resend", api.Resending.as_view()),
    path("webhooks/<str:endpoint_id>", api.OneEndpoint.as_view()),
    path("webhooks/<str:endpoint_id>/rotate-secret", api.SecretRotation.as_view()),
    path("webhooks/<str:endpoint_id>/test", api.EndpointTest.as_view()),
]
