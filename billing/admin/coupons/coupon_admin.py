"""Discounts in the admin: coupons and where they are applied."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from billing.adjustments.coupons import activate_coupon, archive_coupon, describe_duration, describe_reduction
from billing.admin.coupons.applications_tab import ApplicationsInline
from billing.admin.shared import rounded
from billing.admin.taxes import ArchivedFilter
from billing.kinds import CouponScope
from billing.models import Coupon
from config.office.archiving import ACTIVE, ArchivingByTime, activate_action, archive_action
from config.office.base import OfficeAdmin
from config.office.dialogs import action
from config.office.wording import trim_zeros

FIXED = (
    *("code", "percent_off", "amount_off", "currency", "duration", "periods", "keeps_rest"),
    *("scope", "features", "plans"),
)


class AppliedToInline(ApplicationsInline):
    """The customers and subscriptions the coupon is applied to."""

    verbose_name_plural = "applied to"


@admin.register(Coupon)
class CouponAdmin(ArchivingByTime, OfficeAdmin):
    """A discount by a percentage or an amount. Its terms can't be changed once it is saved."""

    list_display = ("show_name", "show_off", "show_duration", "show_scope", "show_applied", "show_state")
    list_filter = (ArchivedFilter, ("duration", ChoicesDropdownFilter), ("scope", ChoicesDropdownFilter))
    search_fields = ("code", "name", "public_id")
    search_help_text = "Code, name or ID"
    ordering = ("-pk",)
    autocomplete_fields = ("features", "plans")
    inlines = (AppliedToInline,)
    readonly_preprocess_fields = {"percent_off": trim_zeros, "amount_off": trim_zeros}
    fieldsets = (
        (None, {"fields": (("code", "name"), "percent_off", ("amount_off", "currency"))}),
        ("Duration", {"fields": (("duration", "periods"), "keeps_rest")}),
        ("Applies to", {"fields": ("scope", "features", "plans")}),
        ("Redemption", {"fields": (("redeem_after", "redeem_by"), "max_redemptions")}),
        ("Status", {"fields": (("archived_at", "public_id", "created_at"),)}),
    )
    add_fieldsets = fieldsets[:4]
    readonly_fields = ("archived_at", "public_id", "created_at")
    export_columns = (
        ("ID", "public_id"),
        ("Code", "code"),
        ("Name", "name"),
        ("Percentage off", "percent_off"),
        ("Amount off", rounded("amount_off")),
        ("Currency", "currency"),
        ("Duration", describe_duration),
        ("Applies to", lambda coupon: coupon.get_scope_display()),
        ("Applied", "applied"),
        ("Archived at (UTC)", "archived_at"),
    )
    empty_icon = "percent_discount"
    empty_title = "No discounts yet"
    empty_text = "Add a discount, then apply it to a customer or a subscription. Upcoming invoices will include it."
    actions_detail = ("apply_it", "archive", "activate")

    def get_fieldsets(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *FIXED) if obj else self.readonly_fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if obj is None:
            form.clean = _clean_coupon
        return form

    def get_queryset(self, request: HttpRequest) -> QuerySet[Coupon]:
        coupons: QuerySet[Coupon] = super().get_queryset(request).annotate(applied=Count("applications"))
        return coupons

    def has_delete_permission(self, request: HttpRequest, obj: Coupon | None = None) -> bool:
        """Coupons can't be deleted, because invoices refer to them. They can be archived."""
        return False

    @display(description="Discount", header=True, ordering="name")
    def show_name(self, coupon: Coupon) -> list[str]:
        return [coupon.name, coupon.code]

    @display(description="Amount off")
    def show_off(self, coupon: Coupon) -> str:
        return format_html('<span class="ch-money">{}</span>', describe_reduction(coupon))

    @display(description="Duration", ordering="duration")
    def show_duration(self, coupon: Coupon) -> str:
        return describe_duration(coupon).capitalize()

    @display(description="Applies to", ordering="scope")
    def show_scope(self, coupon: Coupon) -> str:
        return coupon.get_scope_display()

    @display(description="Applied", ordering="applied")
    def show_applied(self, coupon: Coupon) -> str:
        applied = getattr(coupon, "applied", 0)
        url = reverse("admin:billing_couponapplication_changelist", query={"coupon__id__exact": coupon.pk})
        limit = f" of {coupon.max_redemptions}" if coupon.max_redemptions else "×"
        return format_html('<a class="ch-link" href="{}">{}{}</a>', url, applied, limit)

    @display(description="Status", label={"active": "success", "archived": "warning"})
    def show_state(self, coupon: Coupon) -> tuple[str, str]:
        return ("active", "Active") if coupon.archived_at is None else ("archived", "Archived")

    def has_give_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.add_couponapplication") and self.is_in_state(object_id, ACTIVE)

    @action(description="Apply", icon="add", variant=ActionVariant.PRIMARY, permissions=["give"])
    def apply_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:billing_couponapplication_add", query={"coupon": object_id}))

    archive_with = staticmethod(archive_coupon)
    activate_with = staticmethod(activate_coupon)
    archive = archive_action(
        "discount",
        "It can no longer be applied. Where it is already applied, it remains active until it is ended or used up.",
    )
    activate = activate_action("discount", "It can be applied to customers and subscriptions again.")


def _clean_coupon(form: Any) -> dict[str, Any]:
    """Require features or plans if, and only if, the scope is "selected"."""
    cleaned: dict[str, Any] = super(type(form), form).clean() or form.cleaned_data
    has_selection = bool(cleaned.get("features") or cleaned.get("plans"))
    if (cleaned.get("scope") == CouponScope.CHOSEN) != has_selection:
        message = "Select features or plans only if the discount applies to selected features and plans."
        raise ValidationError({"scope": message})
    return cleaned
