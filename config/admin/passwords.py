"""The page on which a colleague sets a password with a link, and is then signed in."""

from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from django.contrib import admin
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpResponse
from django.urls import reverse, reverse_lazy
from unfold.widgets import UnfoldAdminPasswordWidget

from config.audit import recorded


class NewPasswordForm(SetPasswordForm):
    """Django's form with Unfold's fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})


class SetPassword(PasswordResetConfirmView):
    """Set a password once with a link of Settings → Staff. The link stops working with the first password or login."""

    form_class = NewPasswordForm
    template_name = "admin/config/set_password.html"
    success_url = reverse_lazy("admin:index")
    title = "Set your password"

    def form_valid(self, form: Any) -> HttpResponse:
        """Save the password and sign in, with the second factor of a colleague who has one.

        The change log names the colleague, who isn't signed in yet.
        """
        with recorded(by=self.user, reason="Set with a password link"):
            super().form_valid(form)
        record_authentication(self.request, self.user, "link")
        response: HttpResponse = perform_login(self.request, self.user, redirect_url=reverse("admin:index"))
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the admin's style sheet and colors to the page."""
        return super().get_context_data(**{**admin.site.each_context(self.request), **kwargs})
