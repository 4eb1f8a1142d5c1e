"""Plan versions: editable drafts, and published versions, which never change."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from catalog.admin.plans import VERSION_COLORS
from catalog.admin.value_prices import ValuePricesForm
from catalog.by_value import set_value_prices
from catalog.comparing import differences
from catalog.models import Entitlement, IntervalUnit, PlanVersion, Price
from catalog.models.plans import OfferKind, VersionState
from catalog.publishing import get_or_create_draft, publish_with_note
from catalog.validation import find_publishing_problems
from catalog.wording import describe_free_tier, describe_price
from config.audit import recorded
from config.office.base import OfficeAdmin
from config.office.dialogs import AT_ONCE, action, carry_out, open_page, staff
from config.office.filters import RangeDateTimeFilter
from config.office.links import page_of
from config.office.permissions import ReadOnlyInline
from config.office.wording import local_day


class PublishForm(BaseDialogForm):
    """Show the changes that publishing makes, and ask for a note."""

    form_before_template = "admin/catalog/planversion/publish_preview.html"
    note = forms.CharField(
        label="What changed and why",
        max_length=255,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Saved with the version and in its history.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound and (version := PlanVersion.objects.filter(pk=self.object_id).first()):
            self.initial = {"note": version.note}

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        version = get_object_or_404(PlanVersion.objects.select_related("plan"), pk=object_id)
        return {"version": version, "differences": differences(version), "faults": _messages(version)}


class PricesInline(ReadOnlyInline):
    """The prices of a version in words, with links to their pages."""

    model = Price
    fields = ("show_label", "kind", "show_words", "currency")
    readonly_fields = fields
    ordering = ("position", "pk")
    verbose_name_plural = "prices"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        rows: QuerySet[Price] = super().get_queryset(request).select_related("feature").prefetch_related("tiers")
        return rows

    @admin.display(description="Charge")
    def show_label(self, price: Price) -> str:
        return format_html('<a class="text-link" href="{}">{}</a>', page_of(price), price.label)

    @admin.display(description="In words")
    def show_words(self, price: Price) -> str:
        return describe_price(price)


class EntitlementsInline(TabularInline):
    """Free tiers: what a version includes of each feature."""

    model = Entitlement
    fields = ("feature", "free_units", "reset", "is_prorated", "is_soft_limit", "is_enabled", "static_value")
    autocomplete_fields = ("feature",)
    readonly_fields = ("words",)
    extra = 0
    show_title = False
    verbose_name_plural = "free tiers"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Entitlement]:
        rows: QuerySet[Entitlement] = super().get_queryset(request).select_related("feature")
        return rows

    def get_fields(self, request: HttpRequest, obj: PlanVersion | None = None) -> tuple[str, ...]:
        return ("feature", "words") if obj is not None and obj.is_published else self.fields

    @admin.display(description="In words")
    def words(self, entitlement: Entitlement) -> str:
        return describe_free_tier(entitlement)


@admin.register(PlanVersion)
class PlanVersionAdmin(OfficeAdmin):
    """A version of a plan. A published version never changes."""

    list_display = ("show_version", "show_state", "show_prices", "show_published", "published_by", "note")
    list_select_related = ("plan", "published_by")
    list_filter = (
        ("plan", AutocompleteSelectFilter),
        ("state", ChoicesDropdownFilter),
        ("published_at", RangeDateTimeFilter),
    )
    search_fields = ("plan__name", "plan__key", "note")
    search_help_text = "Plan or note"
    ordering = ("plan__name", "-number")
    readonly_fields = ("plan", "number", "state", "published_at", "published_by")
    inlines = (PricesInline, EntitlementsInline)
    export_columns = (
        ("Plan", "plan__name"),
        ("Version", "number"),
        ("Status", lambda version: version.get_state_display()),
        ("Prices", "price_count"),
        ("Published at (UTC)", "published_at"),
        ("Published by", "published_by__username"),
        ("Note", "note"),
    )
    empty_icon = "sell"
    empty_title = "No plan versions yet"
    empty_text = "Add a plan first. It comes with a first version."
    change_form_before_template = "admin/catalog/planversion/state.html"
    actions_detail = ("add_price", "add_prices_by_value", "simulate", "publish_version", "new_version")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        rows: QuerySet[PlanVersion] = (
            super().get_queryset(request).select_related("plan").annotate(price_count=Count("prices"))
        )
        return rows

    @display(description="Version", ordering="plan__name")
    def show_version(self, version: PlanVersion) -> str:
        return str(version)

    @display(description="Status", ordering="state", label=VERSION_COLORS)
    def show_state(self, version: PlanVersion) -> tuple[str, str]:
        return version.state, version.get_state_display()

    @display(description="Prices", ordering="price_count")
    def show_prices(self, version: PlanVersion) -> int:
        return getattr(version, "price_count", 0)

    @display(description="Published", ordering="published_at")
    def show_published(self, version: PlanVersion) -> str:
        return local_day(version.published_at)

    # --- The page ------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: PlanVersion | None = None) -> list[Any]:
        if obj is not None and obj.is_published:
            return [(None, {"fields": ("plan", "trial_days", "note", "published_at", "published_by")})]
        return [(None, {"fields": ("plan", "trial_days", "is_held", "note")})]

    def facts_of(self, request: HttpRequest, obj: PlanVersion) -> dict[str, Any]:
        faults = [] if obj.is_published else _messages(obj)
        return {"faults": faults, "version_state": obj.get_state_display()}

    def parts_of(self, obj: PlanVersion) -> list[Model]:
        return [*obj.prices.select_related("feature"), *obj.entitlements.select_related("feature", "version__plan")]

    def save_model(self, request: HttpRequest, obj: PlanVersion, form: Any, change: bool) -> None:
        with recorded(by=staff(request)):
            super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        with recorded(by=staff(request)):
            super().save_formset(request, form, formset, change)

    def delete_model(self, request: HttpRequest, obj: PlanVersion) -> None:
        with recorded(by=staff(request)):
            super().delete_model(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Forbid adding: “New version” on the plan's page copies the published version."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj is not None and obj.is_published)

    def has_delete_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        return super().has_delete_permission(request, obj) and obj is not None and not obj.is_published

    # --- Actions -------------------------------------------------------------------------------------

    def has_add_price_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("catalog.add_price") and self._is(object_id, VersionState.DRAFT)

    def has_add_prices_by_value_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether the user may add all that a price list needs: variants of a feature, prices and free tiers."""
        needed = ("catalog.add_feature", "catalog.add_price", "catalog.change_price", "catalog.add_entitlement")
        return request.user.has_perms(needed) and self._is(object_id, VersionState.DRAFT)

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super().has_change_permission(request) and self._is(object_id, VersionState.DRAFT)

    def has_new_version_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return super().has_change_permission(request) and self._is(object_id, VersionState.PUBLISHED)

    def has_simulate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        versions = PlanVersion.objects.filter(pk=object_id, plan__kind=OfferKind.PLAN)
        return request.user.has_perm("billing.add_simulation") and versions.exists()

    def _is(self, object_id: Any, state: VersionState) -> bool:
        return PlanVersion.objects.filter(pk=object_id, state=state).exists()

    @action(description="Add price", icon="add", permissions=["add_price"])
    def add_price(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:catalog_price_add", query={"version": object_id}))

    @action(
        description="Prices by value",
        icon="table_rows",
        permissions=["add_prices_by_value"],
        dialog={
            "title": "Set prices by value",
            "description": "One price list by the values of an event property, such as traffic by region. Each value "
            "has a line of its own on invoices.",
            "form_class": ValuePricesForm,
            "form_submit_text": "Set prices",
        },
    )
    def add_prices_by_value(self, request: HttpRequest, form: ValuePricesForm, object_id: str) -> HttpResponse:
        version, data = PlanVersion.objects.get(pk=object_id), form.cleaned_data
        return carry_out(
            request,
            lambda: set_value_prices(
                version,
                data["feature"],
                data["property_name"],
                data["prices"],
                currency=data["currency"],
                interval=IntervalUnit(data["interval"]),
                free_units=data["free_units"],
                by=staff(request),
            ),
            done=f"{data['feature']} has prices by {data['property_name']}.",
            then=page_of(version),
        )

    @action(
        description="Publish",
        icon="publish",
        variant=ActionVariant.PRIMARY,
        permissions=["publish"],
        dialog={
            "title": "Publish this version?",
            "description": "It can't be changed afterward. New subscriptions use it; existing ones keep their version.",
            "form_class": PublishForm,
            "form_submit_text": "Publish",
        },
    )
    def publish_version(self, request: HttpRequest, form: PublishForm, object_id: str) -> HttpResponse:
        version = PlanVersion.objects.select_related("plan").get(pk=object_id)
        note = form.cleaned_data["note"]

        return carry_out(
            request,
            lambda: publish_with_note(version, note=note, now=timezone.now(), by=staff(request)),
            done=f"{version} was published.",
            then=page_of(version),
        )

    @action(description="Simulate", icon="science", permissions=["simulate"])
    def simulate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:billing_simulation_start", query={"version": object_id}))

    @action(
        description="New version",
        icon="add",
        variant=ActionVariant.PRIMARY,
        permissions=["new_version"],
        attrs=AT_ONCE,
        dialog={
            "title": "Create a new version?",
            "description": "The new version copies the latest published one and stays a draft until you publish it. "
            "If there is a draft already, it is opened instead.",
            "form_submit_text": "Open the draft",
        },
    )
    def new_version(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        plan = PlanVersion.objects.select_related("plan").get(pk=object_id).plan
        return open_page(request, page_of(get_or_create_draft(plan, by=staff(request), held=True)))


def _messages(version: PlanVersion) -> list[str]:
    return [message for problem in find_publishing_problems(version) for message in problem.messages]
