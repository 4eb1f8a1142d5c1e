"""Admin pages that aren't a table's list or form: class-based views with a permission, in the admin's frame."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin import AdminSite, ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.urls import URLPattern
from django.views.generic.base import ContextMixin, TemplateResponseMixin, View


class AdminView(TemplateResponseMixin, ContextMixin, View):
    """Answer staff who have `permission`; respond with 403 to everyone else.

    On its own it renders a fragment of a page, such as a panel that htmx loads. Whole pages extend `AdminPage`.
    """

    admin_site: AdminSite = admin.site
    model_admin: "ModelAdmin[Any] | None" = None
    permission = ""

    @classmethod
    def for_site(
        cls, admin_site: AdminSite, model_admin: "ModelAdmin[Any] | None" = None
    ) -> Callable[..., HttpResponseBase]:
        """Return the view for `path()`, behind the login of the admin site."""
        return admin_site.admin_view(cls.as_view(admin_site=admin_site, model_admin=model_admin))

    def has_permission(self) -> bool:
        """Check `permission`, or without one the permission to view the model admin's rows."""
        if self.permission:
            return bool(self.request.user.has_perm(self.permission))
        return self.model_admin is not None and self.model_admin.has_view_permission(self.request)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not self.has_permission():
            raise PermissionDenied(self.permission)
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return self.render(**kwargs)

    def render(self, **context: Any) -> HttpResponse:
        """Render the template with these values added to the context of `get_context_data`."""
        return self.render_to_response(self.get_context_data(**context))


class AdminPage(AdminView):
    """Render a whole page with the admin's header and sidebar under `title`."""

    title = ""

    def get_title(self) -> str:
        return self.title

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        frame = {**self.admin_site.each_context(self.request), "title": self.get_title()}
        if self.model_admin is not None:
            frame["opts"] = self.model_admin.opts
        return super().get_context_data(**(frame | kwargs))


def add_pages(urls: Callable[[AdminSite], list[URLPattern]]) -> None:
    """Add pages to the default admin site, after those added before. Call once, from `AppConfig.ready`."""
    site = admin.site
    earlier = getattr(site, "extra_urls", None)
    # Unfold's setting for further pages of a site.
    site.extra_urls = lambda: [*(earlier() if earlier else []), *urls(site)]  # type: ignore[attr-defined]


def clean_text(text: str) -> str:
    """Remove surrounding spaces, and NUL characters, which PostgreSQL can't store."""
    return text.replace("\x00", "").strip()


def clean_values(query: QueryDict) -> dict[str, str]:
    """Return the parameters of a request by name, cleaned; the last value of a repeated parameter."""
    return {name: clean_text(str(value)) for name, value in query.items()}
