"""Settings → Sign-in log and Sign-in rules."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from config.office.base import OfficeAdmin
from config.office.filters import RangeDateTimeFilter
from config.office.readonly import LongListAdmin
from config.office.wording import badge, code, moment
from config.signin.agents import describe_agent
from config.signin.confirming import ConfirmedForms
from config.signin.models import SignInEvent, SignInKind, SignInRules
from config.signin.rules import read_rules

VARIANTS = {
    SignInKind.SIGNED_IN: "success",
    SignInKind.CONFIRMED: "success",
    SignInKind.FAILED: "warning",
    SignInKind.CONFIRMATION_FAILED: "warning",
    SignInKind.LOCKED: "danger",
    SignInKind.FACTOR_REMOVED: "warning",
}


@admin.register(SignInEvent)
class SignInEventAdmin(LongListAdmin):
    """Every sign-in, failure and lock, and every change of how a colleague signs in, newest first."""

    list_title = "Sign-in log"
    list_display = ("when", "event", "who", "detail_text", "address_text", "browser")
    list_display_links = ("when",)
    list_filter = (
        ("kind", ChoicesDropdownFilter),
        ("user", AutocompleteSelectFilter),
        ("at", RangeDateTimeFilter),
    )
    list_select_related = ("user",)
    search_fields = ("username", "address", "request_id")
    search_help_text = "Username, address or request ID"
    fields = ("when", "event", "who", "detail_text", "address_text", "browser", "user_agent", "request_code")
    readonly_fields = fields
    empty_icon = "login"
    empty_title = "No sign-ins yet"
    empty_text = "Sign-ins, failures and changes of second factors appear here."
    export_columns = (
        ("at", "at"),
        ("event", "kind"),
        ("username", "username"),
        ("detail", "detail"),
        ("address", "address"),
        ("user_agent", "user_agent"),
        ("request_id", "request_id"),
    )

    @display(description="When (UTC)")
    def when(self, event: SignInEvent) -> str:
        return moment(event.at)

    @display(description="Event")
    def event(self, event: SignInEvent) -> SafeString:
        return badge(event.get_kind_display(), VARIANTS.get(SignInKind(event.kind), ""))

    @display(description="Colleague")
    def who(self, event: SignInEvent) -> SafeString | str:
        if event.user is None:
            return event.username or "–"
        url = reverse("admin:auth_user_change", args=[event.user.pk])
        return format_html('<a class="ch-link" href="{}">{}</a>', url, event.user.get_full_name() or event.username)

    @display(description="Detail")
    def detail_text(self, event: SignInEvent) -> str:
        return event.detail or "–"

    @display(description="Address")
    def address_text(self, event: SignInEvent) -> SafeString | str:
        return code(event.address) if event.address else "–"

    @display(description="Browser")
    def browser(self, event: SignInEvent) -> str:
        return describe_agent(event.user_agent) if event.user_agent else "–"

    @display(description="Request ID")
    def request_code(self, event: SignInEvent) -> SafeString | str:
        return code(event.request_id) if event.request_id else "–"


@admin.register(SignInRules)
class SignInRulesAdmin(ConfirmedForms, OfficeAdmin):
    """The company's rules for signing in: one page, without a list."""

    fieldsets = (
        (
            "Second factor",
            {
                "fields": ("second_factor_roles", "second_factor_superusers", "trusts_providers"),
                "description": "An authenticator app or a passkey, in addition to the password. A colleague without one"
                " is led to set it up before anything else, at the next sign-in or within a minute.",
            },
        ),
        ("Sessions", {"fields": ("idle_minutes", "longest_hours"), "description": "Applies to open sessions, too."}),
        ("Confirmation", {"fields": ("confirmed_minutes",)}),
    )
    autocomplete_fields = ("second_factor_roles",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SignInRules | None = None) -> bool:
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> SignInRules | None:
        """Return the rules. Before they are saved, the form starts with the defaults."""
        return read_rules() if object_id == "1" else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the page of the rules."""
        return HttpResponseRedirect(reverse("admin:config_signinrules_change", args=[1]))
