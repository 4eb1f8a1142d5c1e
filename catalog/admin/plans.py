"""Plans and links to their versions."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from catalog.models import Addon, Plan, PlanVersion
from catalog.models.plans import PlanState, VersionState
from catalog.plans import activate_plan, archive_plan
from catalog.publishing import get_or_create_draft
from config.audit import recorded
from config.office.archiving import Archiving, activate_action, archive_action
from config.office.base import OfficeAdmin
from config.office.dialogs import AT_ONCE, action, open_page, staff
from config.office.filters import RangeDateTimeFilter
from config.office.links import admin_url, page_of
from config.office.permissions import ReadOnlyInline
from config.office.wording import badge, local_day

STATE_COLORS = {PlanState.ACTIVE: "success", PlanState.ARCHIVED: "warning"}
SETUP_PERMISSIONS = ("catalog.add_plan", "catalog.add_planversion", "catalog.add_price", "catalog.add_feature")
VERSION_COLORS = {VersionState.PUBLISHED: "success", VersionState.DRAFT: "info"}


class VersionsInline(ReadOnlyInline):
    """The versions of a plan, newest first. The page of a version has its prices."""

    model = PlanVersion
    fields = ("show_number", "show_state", "trial_days", "published_at", "published_by", "note")
    readonly_fields = fields
    ordering = ("-number",)
    tab = True
    verbose_name_plural = "versions"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        rows: QuerySet[PlanVersion] = super().get_queryset(request).select_related("plan", "published_by")
        return rows

    @admin.display(description="Version")
    def show_number(self, version: PlanVersion) -> str:
        return format_html('<a class="text-link" href="{}">Version {}</a>', page_of(version), version.number)

    @admin.display(description="Status")
    def show_state(self, version: PlanVersion) -> str:
        return badge(version.get_state_display(), VERSION_COLORS[VersionState(version.state)])


@admin.register(Plan)
class PlanAdmin(Archiving, OfficeAdmin):
    """What is sold. Prices belong to numbered versions; customers keep their version until you move them."""

    list_display: tuple[str, ...] = (
        "show_name",
        "show_version",
        "show_prices",
        "show_draft",
        "show_state",
        "show_created",
    )
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("versions__state", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("name", "key", "description", "public_id")
    search_help_text = "Name, description, lookup key or ID"
    ordering = ("display_order", "name")
    inlines = (VersionsInline,)
    fieldsets: tuple[Any, ...] = (
        (None, {"fields": ("name", "key", "description", "display_order")}),
        ("Status", {"fields": ("sold_as", "state", "archived_at", "public_id", "created_at")}),
    )
    add_fieldsets: tuple[Any, ...] = ((None, {"fields": ("name", "key", "description", "display_order")}),)
    readonly_fields = ("sold_as", "state", "archived_at", "public_id", "created_at")
    export_columns = (
        ("ID", "public_id"),
        ("Name", "name"),
        ("Lookup key", "key"),
        ("Published version", "published_number"),
        ("Prices", "price_count"),
        ("Draft version", "draft_number"),
        ("Status", lambda plan: plan.get_state_display()),
        ("Created at (UTC)", "created_at"),
    )
    empty_icon = "sell"
    empty_title = "No plans yet"
    empty_text = "A plan bundles prices and free tiers. Add a plan, give it prices, and subscribe a customer to it."
    actions_detail = ("new_version", "archive", "activate")

    # --- The list ------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        published = Q(versions__state=VersionState.PUBLISHED, versions__base=None)
        rows: QuerySet[Plan] = (
            super()
            .get_queryset(request)
            .annotate(
                published_number=Max("versions__number", filter=published),
                draft_number=Max("versions__number", filter=Q(versions__state=VersionState.DRAFT, versions__base=None)),
                price_count=Count("versions__prices", filter=published, distinct=True),
            )
        )
        return rows

    @display(description="Plan", header=True, ordering="name")
    def show_name(self, plan: Plan) -> list[str]:
        return [plan.name, plan.key or plan.public_id]

    @display(description="Published", ordering="published_number")
    def show_version(self, plan: Plan) -> str:
        number = getattr(plan, "published_number", None)
        return f"Version {number}" if number else "not published"

    @display(description="Prices", ordering="price_count")
    def show_prices(self, plan: Plan) -> int:
        return getattr(plan, "price_count", 0)

    @display(description="Draft", ordering="draft_number")
    def show_draft(self, plan: Plan) -> str:
        number = getattr(plan, "draft_number", None)
        return f"Version {number}" if number else "–"

    @display(description="Status", ordering="state", label=STATE_COLORS)
    def show_state(self, plan: Plan) -> tuple[str, str]:
        return plan.state, plan.get_state_display()

    @display(description="Created", ordering="created_at")
    def show_created(self, plan: Plan) -> str:
        return local_day(plan.created_at)

    # --- The page ------------------------------------------------------------------------------------

    @admin.display(description="Published")
    def sold_as(self, plan: Plan) -> str:
        number = getattr(plan, "published_number", None)
        return (
            f"Version {number}" if number else "Not published. Add prices to a draft under “Versions”, then publish it."
        )

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        with recorded(by=staff(request)):
            super().save_model(request, obj, form, change)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Open the page of an add-on for the links of its versions, which lead to plans."""
        if object_id.isdecimal() and (addon := Addon.objects.filter(pk=object_id).first()):
            return HttpResponseRedirect(page_of(addon))
        response: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return response

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Open the form that sets up a plan with its prices, for staff who may add all of them."""
        url = admin_url("billing_plan_setup")
        if url and request.method == "GET" and not request.GET and request.user.has_perms(SETUP_PERMISSIONS):
            return HttpResponseRedirect(url)
        response: HttpResponse = super().add_view(request, form_url, extra_context)
        return response

    @transaction.atomic
    def response_add(self, request: HttpRequest, obj: Plan, post_url_continue: str | None = None) -> HttpResponse:
        """Open the first version, where staff add prices."""
        draft = get_or_create_draft(obj, by=staff(request), held=True)
        if "_addanother" in request.POST or "_popup" in request.POST:
            response: HttpResponse = super().response_add(request, obj, post_url_continue)
            return response
        self.message_user(request, f"{obj} was created. Add its prices, then publish this version.", messages.SUCCESS)
        return HttpResponseRedirect(page_of(draft))

    def has_delete_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        """Forbid deletion: versions document what was sold. Plans can be archived."""
        return False

    # --- Actions -------------------------------------------------------------------------------------

    def has_new_version_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request) and self.is_in_state(object_id, PlanState.ACTIVE)

    @action(
        description="New version",
        icon="add",
        variant=ActionVariant.PRIMARY,
        permissions=["new_version"],
        attrs=AT_ONCE,
        dialog={
            "title": "Create a new version?",
            "description": "The new version is a copy of the published version and stays a draft until you publish it. "
            "If there is a draft already, it is opened instead.",
            "form_submit_text": "Open the draft",
        },
    )
    def new_version(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return open_page(
            request, page_of(get_or_create_draft(Plan.with_addons.get(pk=object_id), by=staff(request), held=True))
        )

    archive_with = staticmethod(archive_plan)
    activate_with = staticmethod(activate_plan)
    archive = archive_action("plan", "No new subscriptions are possible. Existing subscriptions continue.")
    activate = activate_action("plan", "Customers can be subscribed to this plan again.")
