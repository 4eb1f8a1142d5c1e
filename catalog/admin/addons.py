"""Add-ons: offers that a subscription can have in addition to its plan. They have versions and prices as plans do."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from catalog.admin.plans import PlanAdmin
from catalog.models import Addon, Plan
from config.office.archiving import activate_action, archive_action

COLUMNS = ("name", "key", "description", "display_order", "compatible_plans", "maximum")


@admin.register(Addon)
class AddonAdmin(PlanAdmin):
    """What subscriptions can have in addition to their plan. They keep the version that they added."""

    list_display = ("show_name", "show_version", "show_prices", "show_draft", "maximum", "show_state", "show_created")
    autocomplete_fields = ("compatible_plans",)
    fieldsets = (
        (None, {"fields": COLUMNS}),
        ("Status", {"fields": ("sold_as", "state", "archived_at", "public_id", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": COLUMNS}),)
    empty_icon = "extension"
    empty_title = "No add-ons yet"
    empty_text = "An add-on has prices and free tiers as a plan has. Add one, publish it, and add it to a subscription."

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        response: HttpResponse = super(PlanAdmin, self).change_view(request, object_id, form_url, extra_context)
        return response

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        response: HttpResponse = super(PlanAdmin, self).add_view(request, form_url, extra_context)
        return response

    # Who works with plans works with add-ons.

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        return request.user.has_perm("catalog.view_plan")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.add_plan")

    def has_change_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        return request.user.has_perm("catalog.change_plan")

    archive = archive_action("add-on", "It can't be added to subscriptions. Those that have it keep it.")
    activate = activate_action("add-on", "It can be added to subscriptions again.")
