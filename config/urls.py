"""Route URLs to the admin and the API under /v1 (no trailing slashes). `config/server/probes.py` answers probes."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from config.admin.passwords import SetPassword
from config.admin.search import Search
from config.api.handlers import unknown_path
from config.api.schema import SchemaView
from config.server.favicon import favicon
from config.signin.api import SignIns

# Each app lists its API views in `api/urls.py`.
API_APPS = ("catalog", "customers", "events", "billing")

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("favicon.ico", favicon, name="favicon"),
    path("set-password/<uidb64>/<token>/", SetPassword.as_view(), name="set_password"),
    path("admin/search/", Search.for_site(admin.site), name="search"),  # before Unfold's own
    path("admin/", include("config.signin.urls")),  # before Django's own login and logout
    path("admin/", admin.site.urls),
    path("v1/schema", SchemaView.as_view(), name="schema"),
    path("v1/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    *[path("v1/", include(f"{app}.api.urls")) for app in API_APPS],
    path("v1/sign-ins", SignIns.as_view()),
    path("v1/", include("config.backups.urls")),
    path("v1/", include("config.webhooks.urls")),
    path("v1/", include("config.approvals.urls")),
    path("v1/", include("config.alarms.urls")),
    path("v1/", include("config.change_log.urls")),
    path("v1/", include("config.monitoring.urls")),
    *([path("email-reports/", include("anymail.urls"))] if "WEBHOOK_SECRET" in settings.ANYMAIL else []),
    path("v1", unknown_path),
    path("v1/<path:path>", csrf_exempt(unknown_path)),
]

handler400 = "config.api.handlers.bad_request"
handler403 = "config.admin.denied.permission_denied"
handler404 = "config.api.handlers.not_found"
handler429 = "config.signin.limits.too_many"  # of django-allauth
handler500 = "config.api.handlers.server_error"
