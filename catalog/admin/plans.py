"""Plans, and the way into their versions."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from catalog.models import Plan, PlanVersion
from catalog.models.plans import PlanState, VersionState
from catalog.plans import activate_plan, archive_plan
from catalog.publishing import get_or_create_draft
from config.audit import recorded
from config.office.archiving import Archiving, activate_action, archive_action
from config.office.base import OfficeAdmin, badge, go_to, moment, page_of, staff
from config.office.filters import RangeDateTimeFilter
from config.office.permissions import ReadOnlyInline

STATE_COLOURS = {PlanState.ACTIVE: "success", PlanState.ARCHIVED: "warning"}
VERSION_COLOURS = {VersionState.PUBLISHED: "success", VersionState.DRAFT: "info"}


class VersionsInline(ReadOnlyInline):
    """The plan's editions, the newest first. Prices are on the version's own page."""

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

    @admin.display(description="State")
    def show_state(self, version: PlanVersion) -> str:
        return badge(version.get_state_display(), VERSION_COLOURS[VersionState(version.state)])


@admin.register(Plan)
class PlanAdmin(Archiving, OfficeAdmin):
    """What is sold. Prices live in numbered versions; customers keep theirs until they are moved."""

    list_display = ("show_name", "show_version", "show_prices", "show_draft", "show_state", "show_created")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("versions__state", ChoicesDropdownFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("name", "key", "description", "public_id")
    search_help_text = "Name, description, lookup key or id"
    ordering = ("display_order", "name")
    inlines = (VersionsInline,)
    fieldsets = (
        (None, {"fields": ("name", "key", "description", "display_order")}),
        ("Where it stands", {"fields": ("sold_as", "state", "archived_at", "public_id", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "key", "description", "display_order")}),)
    readonly_fields = ("sold_as", "state", "archived_at", "public_id", "created_at")
    export_columns = (
        ("Id", "public_id"),
        ("Name", "name"),
        ("Lookup key", "key"),
        ("Published version", "published_number"),
        ("Prices", "price_count"),
        ("Draft version", "draft_number"),
        ("State", lambda plan: plan.get_state_display()),
        ("Created at (UTC)", "created_at"),
    )
    empty_icon = "sell"
    empty_title = "No plans yet"
    empty_text = "A plan bundles prices and free tiers. Add one, give it prices, and subscribe a customer to it."
    actions_detail = ("new_version", "archive", "activate")

    # --- The list ------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        published = Q(versions__state=VersionState.PUBLISHED)
        rows: QuerySet[Plan] = (
            super()
            .get_queryset(request)
            .annotate(
                published_number=Max("versions__number", filter=published),
                draft_number=Max("versions__number", filter=Q(versions__state=VersionState.DRAFT)),
                price_count=Count("versions__prices", filter=published, distinct=True),
            )
        )
        return rows

    @display(description="Plan", header=True, ordering="name")
    def show_name(self, plan: Plan) -> list[str]:
        return [plan.name, plan.key or plan.public_id]

    @display(description="Sold as", ordering="published_number")
    def show_version(self, plan: Plan) -> str:
        number = getattr(plan, "published_number", None)
        return f"Version {number}" if number else "not sold yet"

    @display(description="Prices", ordering="price_count")
    def show_prices(self, plan: Plan) -> int:
        return getattr(plan, "price_count", 0)

    @display(description="Draft", ordering="draft_number", label=True)
    def show_draft(self, plan: Plan) -> str:
        number = getattr(plan, "draft_number", None)
        return f"Version {number}" if number else ""

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def show_state(self, plan: Plan) -> tuple[str, str]:
        return plan.state, plan.get_state_display()

    @display(description="Made", ordering="created_at")
    def show_created(self, plan: Plan) -> str:
        return moment(plan.created_at)

    # --- The page ------------------------------------------------------------------------------------

    @admin.display(description="Sold as")
    def sold_as(self, plan: Plan) -> str:
        number = getattr(plan, "published_number", None)
        return (
            f"Version {number}" if number else "Not sold yet: add prices to the draft under “Versions”, then publish."
        )

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        with recorded(by=staff(request)):
            super().save_model(request, obj, form, change)

    @transaction.atomic
    def response_add(self, request: HttpRequest, obj: Plan, post_url_continue: str | None = None) -> HttpResponse:
        """Lead on to the first version: a plan is nothing without prices."""
        draft = get_or_create_draft(obj, by=staff(request))
        if "_addanother" in request.POST or "_popup" in request.POST:
            response: HttpResponse = super().response_add(request, obj, post_url_continue)
            return response
        self.message_user(request, f"{obj} is made. Now add its prices, then publish.", messages.SUCCESS)
        return HttpResponseRedirect(page_of(draft))

    def has_delete_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        """Keep plans: their versions say what was sold. An unwanted one is archived."""
        return False

    # --- Actions -------------------------------------------------------------------------------------

    def has_new_version_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_change_permission(request) and self.is_in_state(object_id, PlanState.ACTIVE)

    @action(
        description="New version",
        icon="add",
        variant=ActionVariant.PRIMARY,
        permissions=["new_version"],
        dialog={
            "title": "Make a new version?",
            "description": "It begins as a copy of the published one, and is held back until you publish it. "
            "A draft that is there already is opened instead.",
            "form_submit_text": "Open the draft",
        },
    )
    def new_version(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return go_to(page_of(get_or_create_draft(Plan.objects.get(pk=object_id), by=staff(request), held=True)))

    archive_with = staticmethod(archive_plan)
    activate_with = staticmethod(activate_plan)
    archive = archive_action("plan", "It takes no new subscriptions. Those it has go on and are billed.")
    activate = activate_action("plan", "It can be subscribed to again.")
