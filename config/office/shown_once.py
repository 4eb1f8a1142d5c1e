"""Things with a secret, such as keys and webhook endpoints: the answer to making one shows its secret, this once."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from config.office.readonly import SaysWhenEmpty


class ShownOnceAdmin(SaysWhenEmpty):
    """Asks for the new thing with one button, and has `shown_once_template` show what it was given."""

    shown_once_template = ""

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask for what is chosen when it is made. The answer to sending it shows the secret, this once."""
        one_button = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, one_button | (extra_context or {}))  # type: ignore[no-any-return]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj else ()

    def show_once(self, request: HttpRequest, *, title: str, secret: str, **facts: Any) -> HttpResponse:
        """Show a secret, in the dialog or as a page. Nothing on the way keeps the answer."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "secret": secret,
            **facts,
        }
        headers = {"Cache-Control": "no-store", "HX-Retarget": "#dialog", "HX-Reselect": "#dialog"}
        return TemplateResponse(request, self.shown_once_template, context, headers=headers)
