"""Prices. A form shows only the fields of the chosen pricing model."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, FieldTextFilter
from unfold.decorators import action as form_button
from unfold.decorators import display
from unfold.forms import PaginationInlineFormSet

from catalog.by_value import update_other_values
from catalog.models import PlanVersion, Price, PriceTier
from catalog.models.plans import VersionState
from catalog.models.prices import PriceKind, PriceModel
from catalog.wording import describe_price
from config.audit import recorded
from config.office.base import OfficeAdmin
from config.office.dialogs import staff
from config.office.links import admin_url, page_of
from config.office.wording import trim_zeros

TIERED = ("graduated", "volume", "graduated_percentage")
FIELDS_OF_MODEL = {
    PriceModel.PACKAGE: ("package_size", "package_rounding"),
    PriceModel.PERCENTAGE: (
        *("rate_percent", "fixed_amount_per_event", "free_events", "free_amount"),
        *("per_event_minimum", "per_event_maximum"),
    ),
}
SAVE_AND_PUBLISH = "catalog_price_save_and_publish"  # the name that Unfold gives the button
PUBLISHED_FIELDS = ("words", "description", "version", "kind", "feature", "currency", "cadence", "model", "public_id")


def _only(*models: str) -> str:
    names = ", ".join(f"'{model}'" for model in models)
    return f"typeof model === 'undefined' || [{names}].includes(model)"


class TierFormSet(PaginationInlineFormSet):
    """Tiers in any order. A tiered price needs a tier, and each tier a different upper limit."""

    def clean(self) -> None:
        super().clean()
        if self.instance.model in TIERED and not any(self._is_kept(form) for form in self.forms):
            model = PriceModel(self.instance.model).label.partition(":")[0].lower()
            raise ValidationError(f"The pricing model “{model}” needs tiers. Add a tier below or choose another model.")
        bounds = [form.cleaned_data.get("up_to") for form in self.forms if self._is_kept(form)]
        if len(set(bounds)) != len(bounds):
            raise ValidationError("Two tiers end at the same quantity. Leave “up to” blank for the last tier only.")

    def _is_kept(self, form: Any) -> bool:
        has_content = form.has_changed() or form.instance.pk
        return bool(has_content and getattr(form, "cleaned_data", None) and not form.cleaned_data.get("DELETE"))


class PriceForm(ModelForm):
    """Check that the version of a new price is a draft. Usage is charged every billing period."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "periods" in self.fields:
            self.fields["periods"].required = False

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("periods") or cleaned.get("kind") == PriceKind.USAGE:
            cleaned["periods"] = 1
        return cleaned

    def clean_version(self) -> PlanVersion:
        """Reject a published version with a message, before the database does."""
        version: PlanVersion = self.cleaned_data["version"]
        if version.is_published:
            raise ValidationError(
                f"{version} is published and can't be changed. Create a new version and add the price there."
            )
        return version


class TiersInline(TabularInline):
    """The tiers of a graduated or volume price."""

    model = PriceTier
    formset: type[BaseInlineFormSet] = TierFormSet
    fields = ("up_to", "unit_amount", "flat_amount", "rate_percent")
    extra = 0
    show_title = False
    readonly_preprocess_fields = dict.fromkeys(("up_to", "unit_amount", "flat_amount", "rate_percent"), trim_zeros)


@admin.register(Price)
class PriceAdmin(OfficeAdmin):
    """One charge of a plan version."""

    form = PriceForm
    list_display = ("show_label", "version", "show_words", "kind", "currency")
    list_select_related = ("version__plan", "feature")
    list_filter = (
        ("version", AutocompleteSelectFilter),
        ("feature", AutocompleteSelectFilter),
        ("kind", ChoicesDropdownFilter),
        ("model", ChoicesDropdownFilter),
        ("interval", ChoicesDropdownFilter),
        ("currency", FieldTextFilter),
    )
    search_fields = ("name", "key", "public_id", "feature__name", "version__plan__name")
    search_help_text = "Charge, feature, plan, lookup key or ID"
    ordering = ("version__plan__name", "-version__number", "position", "pk")
    autocomplete_fields = ("version", "feature")
    readonly_fields = ("words", "public_id", "created_at")
    inlines = (TiersInline,)
    change_form_after_template = "admin/catalog/price/staircase.html"
    add_inlines = (TiersInline,)
    actions_submit_line = ("save_and_publish",)
    export_columns = (
        ("ID", "public_id"),
        ("Plan", "version__plan__name"),
        ("Version", "version__number"),
        ("Charge", "label"),
        ("Feature", "feature__name"),
        ("Kind", lambda price: price.get_kind_display()),
        ("Pricing model", lambda price: price.get_model_display()),
        ("Currency", "currency"),
        ("Amount", "unit_amount"),
        ("In words", describe_price),
    )
    empty_icon = "payments"
    empty_title = "No prices yet"
    empty_text = "Prices belong to a plan. Open the draft version of a plan to add a price."
    readonly_preprocess_fields = dict.fromkeys(("package_size", *FIELDS_OF_MODEL[PriceModel.PERCENTAGE]), trim_zeros)
    conditional_fields = {
        "feature": "typeof kind === 'undefined' || kind == 'usage'",
        "cadence": "typeof kind === 'undefined' || kind == 'fixed'",
        "quantity": "typeof kind === 'undefined' || kind == 'fixed'",
        "periods": "typeof kind === 'undefined' || kind == 'fixed'",
        "unit_amount": _only("flat", "per_unit", "package"),
        "charge_at_zero": _only("graduated", "volume"),
        **{field: _only(model) for model, fields in FIELDS_OF_MODEL.items() for field in fields},
        **dict.fromkeys(
            ("convert_multiply_by", "convert_divide_by", "convert_rounding"),
            "typeof kind === 'undefined' || kind == 'usage'",
        ),
    }

    class Media:
        js = ("catalog/price.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        rows: QuerySet[Price] = (
            super().get_queryset(request).select_related("version__plan", "feature").prefetch_related("tiers")
        )
        return rows

    @display(description="Charge", ordering="name")
    def show_label(self, price: Price) -> str:
        return price.label

    @display(description="In words")
    def show_words(self, price: Price) -> str:
        return describe_price(price)

    @admin.display(description="Charge")
    def words(self, price: Price) -> str:
        return f"{price.label}: {describe_price(price)}"

    # --- The page ------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Price | None = None) -> list[Any]:
        terms = [
            "version",
            "kind",
            "feature",
            "name",
            "description",
            ("currency", "interval", "interval_count"),
            ("cadence", "periods"),
        ]
        amounts = ["model", "unit_amount", "quantity", *FIELDS_OF_MODEL[PriceModel.PACKAGE]]
        amounts += [*FIELDS_OF_MODEL[PriceModel.PERCENTAGE], "charge_at_zero"]
        if obj is not None and obj.version.is_published:
            return [(None, {"fields": [*PUBLISHED_FIELDS, *FIELDS_OF_MODEL.get(PriceModel(obj.model), ())]})]
        return [
            (None, {"fields": terms}),
            ("Amount", {"fields": amounts}),
            ("Limits per period", {"fields": [("minimum_amount", "minimum_quantity", "maximum_amount")]}),
            (
                "Conversion and order",
                {
                    "fields": [
                        ("convert_multiply_by", "convert_divide_by", "convert_rounding"),
                        ("position", "key"),
                        *(["public_id"] if obj else []),
                    ],
                    "classes": ["collapse"],
                },
            ),
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"currency": settings.DEFAULT_CURRENCY, **super().get_changeform_initial_data(request)}

    def get_readonly_fields(self, request: HttpRequest, obj: Price | None = None) -> tuple[str, ...]:
        return ("version", *self.readonly_fields) if obj else self.readonly_fields

    def parts_of(self, obj: Price) -> list[Model]:
        return list(obj.tiers.all())

    def save_model(self, request: HttpRequest, obj: Price, form: Any, change: bool) -> None:
        with recorded(by=staff(request)):
            super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        with recorded(by=staff(request)):
            super().save_related(request, form, formsets, change)
            if not form.instance.is_tiered:
                form.instance.tiers.all().delete()  # entered for another pricing model, hidden now
        update_other_values(form.instance.version, by=staff(request))

    def delete_model(self, request: HttpRequest, obj: Price) -> None:
        with recorded(by=staff(request)):
            super().delete_model(request, obj)
        update_other_values(obj.version, by=staff(request))

    def response_add(self, request: HttpRequest, obj: Price, post_url_continue: str | None = None) -> HttpResponse:
        response = super().response_add(request, obj, post_url_continue)
        if "_addanother" in request.POST:
            return HttpResponseRedirect(reverse("admin:catalog_price_add", query={"version": obj.version_id}))
        return self._open_version(request, obj, response)

    def response_change(self, request: HttpRequest, obj: Price) -> HttpResponse:
        return self._open_version(request, obj, super().response_change(request, obj))

    def _open_version(self, request: HttpRequest, price: Price, response: HttpResponse) -> HttpResponse:
        stays = {"_continue", "_addanother", "_popup", "_saveasnew"} & set(request.POST)
        if SAVE_AND_PUBLISH in request.POST:
            return HttpResponseRedirect(admin_url("catalog_planversion_publish_version", price.version_id))
        return response if stays else HttpResponseRedirect(page_of(price.version))

    @form_button(description="Save and publish…", permissions=["publish"])
    def save_and_publish(self, request: HttpRequest, price: Price) -> None:
        """Open the publishing of the version, with its preview, once the price and its tiers are saved."""

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Return whether the user may publish the version of the price. Unfold asks without a price while it saves."""
        drafts = PlanVersion.objects.filter(prices=object_id, state=VersionState.DRAFT)
        return request.user.has_perm("catalog.change_planversion") and (object_id is None or drafts.exists())

    def has_change_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj is not None and obj.version.is_published)

    def has_delete_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj is not None and obj.version.is_published)
