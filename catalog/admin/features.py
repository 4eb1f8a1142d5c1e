"""Features: what is metered and how, described in plain words."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from catalog.features import METER_FIELDS, activate_feature, archive_feature, duplicate_as_new_feature, save_feature
from catalog.models import Aggregation, Feature, Price, UsageReset
from catalog.models.features import FeatureKind, FeatureState
from catalog.wording import describe_meter
from config.office.archiving import Archiving, activate_action, archive_action
from config.office.base import OfficeAdmin
from config.office.dialogs import action, open_page, staff
from config.office.filters import RangeDateTimeFilter
from config.office.links import page_of
from config.office.wording import trim_zeros

STATE_COLORS = {FeatureState.ACTIVE: "success", FeatureState.ARCHIVED: "warning"}
FIXED_FIELDS = ("kind", *METER_FIELDS)
METERED_ONLY = (
    *("event_name", "aggregation", "filters", "excluded", "reset", "accept_numeric_strings", "counts_from"),
    *("unit_singular", "unit_plural", "rounding", "rounding_places"),
)
FREE = "No published plan has a price for this feature, so its usage is free."
FIXED_HINT = (
    "Events have been counted with this definition, so it can no longer change: invoices must stay verifiable. "
    "To count differently, use “Duplicate as new feature”."
)


class DuplicateForm(BaseDialogForm):
    """Ask for the name of the new feature and its differences."""

    name = forms.CharField(max_length=255, widget=UnfoldAdminTextInputWidget())
    event_name = forms.CharField(max_length=255, widget=UnfoldAdminTextInputWidget())
    aggregation = forms.ChoiceField(choices=Aggregation.choices, widget=UnfoldAdminSelectWidget())
    field = forms.CharField(
        label="Aggregation field",
        max_length=255,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Leave blank for Count only.",
    )
    reset = forms.ChoiceField(label="Usage reset", choices=UsageReset.choices, widget=UnfoldAdminSelectWidget())
    from_now = forms.BooleanField(
        label="Count only events from now on",
        required=False,
        initial=True,
        help_text="Otherwise all events with this name are counted, including earlier ones.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound and (original := Feature.objects.filter(pk=self.object_id).first()):
            self.initial = {
                "name": f"{original.name} (new)",
                "event_name": original.event_name,
                "aggregation": original.aggregation,
                "field": original.field,
                "reset": original.reset,
            }


@admin.register(Feature)
class FeatureAdmin(Archiving, OfficeAdmin):
    """What customers use. A metered feature defines which events are counted and how they are aggregated."""

    list_display = ("show_name", "show_meter", "show_reset", "show_plans", "show_state")
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("aggregation", ChoicesDropdownFilter),
        ("reset", ChoicesDropdownFilter),
        ("event_name", FieldTextFilter),
        ("created_at", RangeDateTimeFilter),
    )
    search_fields = ("name", "key", "event_name", "field", "public_id")
    search_help_text = "Name, event name, aggregation field, lookup key or ID"
    ordering = ("name",)
    export_columns = (
        ("ID", "public_id"),
        ("Name", "name"),
        ("Lookup key", "key"),
        ("Kind", lambda feature: feature.get_kind_display()),
        ("Event name", "event_name"),
        ("Aggregation", lambda feature: feature.get_aggregation_display()),
        ("Aggregation field", "field"),
        ("Usage reset", lambda feature: feature.get_reset_display().partition(":")[0]),
        ("Plans", "plan_count"),
        ("Status", lambda feature: feature.get_state_display()),
        ("First counted at (UTC)", "first_counted_at"),
    )
    empty_icon = "category"
    empty_title = "No features yet"
    empty_text = (
        "A feature defines which events are counted and how: API calls counted, tokens added up, users counted once. "
        "Add a feature, then give it a price in a plan."
    )
    readonly_fields = ("sentence", "public_id", "first_counted_at", "archived_at", "created_at", "used_in")
    conditional_fields = {
        "field_aliases": "typeof kind === 'undefined' || (kind == 'metered' && aggregation != 'count')",
        **dict.fromkeys(METERED_ONLY, "typeof kind === 'undefined' || kind == 'metered'"),
        "field": "typeof kind === 'undefined' || (kind == 'metered' && aggregation != 'count')",
        "multiplier": "typeof kind === 'undefined' || (kind == 'metered' && aggregation == 'sum_with_multiplier')",
    }
    readonly_preprocess_fields = {"multiplier": trim_zeros}
    actions_detail = ("duplicate", "archive", "activate")

    # --- The list ------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feature]:
        plans = Count("prices__version__plan", filter=Q(prices__version__state="published"), distinct=True)
        by_value = Count(
            "variants__prices__version__plan", filter=Q(variants__prices__version__state="published"), distinct=True
        )
        rows: QuerySet[Feature] = super().get_queryset(request).annotate(plan_count=plans + by_value)
        return rows

    @display(description="Feature", header=True, ordering="name")
    def show_name(self, feature: Feature) -> list[str]:
        return [feature.name, feature.key or feature.public_id]

    @display(description="Meter", ordering="event_name")
    def show_meter(self, feature: Feature) -> str:
        if feature.kind != FeatureKind.METERED:
            return feature.get_kind_display()
        of = f" of {feature.field}" if feature.field else ""
        return format_html("{}{}<br><code>{}</code>", feature.get_aggregation_display(), of, feature.event_name)

    @display(description="Usage reset", ordering="reset", label={"Cumulative": "info"})
    def show_reset(self, feature: Feature) -> str:
        return feature.get_reset_display().partition(":")[0] if feature.kind == FeatureKind.METERED else ""

    @display(description="Plans", ordering="plan_count")
    def show_plans(self, feature: Feature) -> Any:
        count = getattr(feature, "plan_count", 0)
        if not count:
            return format_html('<span title="{}">none</span>', FREE)
        return count

    @display(description="Status", ordering="state", label=STATE_COLORS)
    def show_state(self, feature: Feature) -> tuple[str, str]:
        return feature.state, feature.get_state_display()

    # --- The page ------------------------------------------------------------------------------------

    @admin.display(description="Meter")
    def sentence(self, feature: Feature) -> str:
        return describe_meter(feature)

    @admin.display(description="In plans")
    def used_in(self, feature: Feature) -> Any:
        in_total_or_by_value = Q(feature=feature) | Q(feature__variant_of=feature)
        prices = Price.objects.filter(in_total_or_by_value).select_related("version__plan")
        names = sorted({str(price.version.plan) for price in prices.filter(version__state="published")})
        if not names:
            return f"{FREE} Add a price to a draft version of a plan."
        return ", ".join(names)

    def get_fieldsets(self, request: HttpRequest, obj: Feature | None = None) -> list[Any]:
        names = [("name", "key"), "description", "kind"]
        meter: list[Any] = ["event_name", "aggregation", "field", "field_aliases", "multiplier", "reset", "filters"]
        meter += ["excluded", *(["variant_of"] if obj and obj.variant_of_id else [])]
        units: list[Any] = [("unit_singular", "unit_plural"), "accept_numeric_strings", "counts_from"]
        rounding: list[Any] = [("rounding", "rounding_places")]
        if obj is None:
            return [
                (None, {"fields": names}),
                ("Meter", {"fields": meter}),
                ("Units and values", {"fields": [*units, *rounding]}),
            ]
        if obj.kind != FeatureKind.METERED:
            meter = units = rounding = []
        if obj.is_meter_fixed and not obj.multiplier:
            meter = [name for name in meter if name != "multiplier"]
        sections: list[tuple[str | None, dict[str, Any]]] = [
            (None, {"fields": ["sentence", *names]}),
            ("Meter", {"fields": meter, "description": FIXED_HINT if obj.is_meter_fixed else ""}),
            ("Units and values", {"fields": [*units, *rounding]}),
            ("Status", {"fields": ["used_in", "first_counted_at", "archived_at", "public_id", "created_at"]}),
        ]
        return [section for section in sections if section[1]["fields"]]

    def get_readonly_fields(self, request: HttpRequest, obj: Feature | None = None) -> tuple[str, ...]:
        fixed = FIXED_FIELDS if obj and obj.is_meter_fixed else ()
        of_variants = ("variant_of", "filters", "excluded") if obj and obj.variant_of_id else ()
        return (*self.readonly_fields, *fixed, *of_variants)

    def save_model(self, request: HttpRequest, obj: Feature, form: Any, change: bool) -> None:
        save_feature(obj, by=staff(request))

    def has_delete_permission(self, request: HttpRequest, obj: Feature | None = None) -> bool:
        """Allow deletion only before the feature is used. A feature with usage or prices can be archived."""
        if obj is not None and (obj.is_meter_fixed or obj.prices.exists() or obj.entitlements.exists()):
            return False
        return bool(super().has_delete_permission(request, obj))

    # --- Actions -------------------------------------------------------------------------------------

    def has_duplicate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_add_permission(request))

    @action(
        description="Duplicate as new feature",
        icon="content_copy",
        permissions=["duplicate"],
        dialog={
            "title": "Duplicate as new feature",
            "description": "The copy has no usage yet, so you can change its meter. The original stays as it is.",
            "form_class": DuplicateForm,
            "form_submit_text": "Duplicate",
        },
    )
    def duplicate(self, request: HttpRequest, form: DuplicateForm, object_id: str) -> HttpResponse:
        original = Feature.objects.get(pk=object_id)
        definition = dict(form.cleaned_data)
        definition.pop("_form_submitted")
        if definition.pop("from_now"):
            definition["counts_from"] = timezone.now()
        if definition["aggregation"] != Aggregation.SUM_WITH_MULTIPLIER:
            definition["multiplier"] = None
        with transaction.atomic():
            copy = duplicate_as_new_feature(original, by=staff(request), **definition)
        return open_page(request, page_of(copy), "Feature duplicated. Add it to a plan to charge for it.")

    archive_with = staticmethod(archive_feature)
    activate_with = staticmethod(activate_feature)
    archive = archive_action(
        "feature",
        "Its events are no longer counted. They wait as problems until you activate it and replay them.",
    )
    activate = activate_action("feature", "Its events are counted again. You can replay the events that waited.")
