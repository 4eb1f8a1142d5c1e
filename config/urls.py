"""Route URLs to the admin, the API under /v1 (no trailing slashes), and the health check."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config.api.handlers import unknown_path
from config.server.favicon import favicon
from config.server.health import healthz

# Each app lists its API views in `api/urls.py`.
API_APPS = ("catalog", "customers", "events", "billing")

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", healthz, name="healthz"),
    path("favicon.ico", favicon, name="favicon"),
    path("admin/", admin.site.urls),
    path("v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path("v1/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    *[path("v1/", include(f"{app}.api.urls")) for app in API_APPS],
    path("v1/", include("config.webhooks.urls")),
    path("v1", unknown_path),
    path("v1/<path:path>", csrf_exempt(unknown_path)),
]

handler400 = "config.api.handlers.bad_request"
handler403 = "config.api.handlers.permission_denied"
handler404 = "config.api.handlers.not_found"
handler500 = "config.api.handlers.server_error"
