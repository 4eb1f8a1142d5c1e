"""Rows with a secret, such as API keys and webhook endpoints. Only the response that creates one shows it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from config.office.base import BaseAdmin


class ShownOnceAdmin(BaseAdmin):
    """A form with one button whose response shows the secret with `shown_once_template`."""

    actions: Any = None
    shown_once_template = ""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the form. Its response shows the secret, so it offers no button that leads elsewhere."""
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, one_button | (extra_context or {}))  # type: ignore[no-any-return]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def show_once(self, request: HttpRequest, *, title: str, secret: str, **facts: Any) -> HttpResponse:
        """Respond with the secret, in the dialog or as a page. Browsers and proxies don't store the response."""
        return respond_once(request, self, self.shown_once_template, title=title, secret=secret, **facts)


def respond_once(
    request: HttpRequest, model_admin: ModelAdmin, template: str, *, title: str, secret: str, **facts: Any
) -> HttpResponse:
    """Respond with a secret. Browsers and proxies don't store the response."""
    frame = model_admin.admin_site.each_context(request)
    context = {**frame, "opts": model_admin.opts, "title": title, "secret": secret, **facts}
    headers = {"Cache-Control": "no-store", "HX-Retarget": "#dialog", "HX-Reselect": "#dialog"}
    return TemplateResponse(request, template, context, headers=headers)
