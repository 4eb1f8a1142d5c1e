"""Discounts in the admin: what coupons take off, and where they are applied."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from billing.adjustments.coupons import archive_coupon, how_long, off
from billing.admin.coupon_applications import ApplicationsInline
from billing.admin.taxes import ArchivedFilter
from billing.models import Coupon
from config.office.base import OfficeAdmin
from config.office.dialogs import ReasonForm, carry_out, staff
from config.office.links import page_of
from config.office.wording import trim_zeros

FIXED = ("code", "percent_off", "amount_off", "currency", "duration", "periods", "scope", "features", "plans")


class AppliedToInline(ApplicationsInline):
    """Whose invoices the coupon reduces."""

    verbose_name_plural = "applied to"


@admin.register(Coupon)
class CouponAdmin(OfficeAdmin):
    """A reduction by a percentage or an amount. What it takes off is fixed once it is made."""

    list_display = ("show_name", "show_off", "show_duration", "show_scope", "show_applied", "show_state")
    list_filter = (ArchivedFilter, ("duration", ChoicesDropdownFilter), ("scope", ChoicesDropdownFilter))
    search_fields = ("code", "name", "public_id")
    search_help_text = "Code, name or id"
    ordering = ("-pk",)
    autocomplete_fields = ("features", "plans")
    inlines = (AppliedToInline,)
    readonly_preprocess_fields = {"percent_off": trim_zeros, "amount_off": trim_zeros}
    fieldsets = (
        (None, {"fields": (("code", "name"), "percent_off", ("amount_off", "currency"))}),
        ("How long", {"fields": (("duration", "periods"),)}),
        ("What it takes off", {"fields": ("scope", "features", "plans")}),
        ("Who may have it", {"fields": (("redeem_after", "redeem_by"), "max_redemptions")}),
        ("Where it stands", {"fields": (("archived_at", "public_id", "created_at"),)}),
    )
    add_fieldsets = fieldsets[:4]
    readonly_fields = ("archived_at", "public_id", "created_at")
    export_columns = (
        ("Id", "public_id"),
        ("Code", "code"),
        ("Name", "name"),
        ("Percentage off", "percent_off"),
        ("Amount off", "amount_off"),
        ("Currency", "currency"),
        ("Lasts", how_long),
        ("Takes off", lambda coupon: coupon.get_scope_display()),
        ("Applied", "applied"),
        ("Archived at (UTC)", "archived_at"),
    )
    empty_icon = "percent_discount"
    empty_title = "No discounts yet"
    empty_text = "Add one, and apply it to a customer or a subscription. Upcoming invoices show what it takes off."
    actions_detail = ("apply_it", "archive")

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
        rows: QuerySet[Coupon] = super().get_queryset(request).annotate(applied=Count("applications"))
        return rows

    def has_delete_permission(self, request: HttpRequest, obj: Coupon | None = None) -> bool:
        """Never: invoices name them. One that isn't given any more is archived."""
        return False

    @display(description="Discount", header=True, ordering="name")
    def show_name(self, coupon: Coupon) -> list[str]:
        return [coupon.name, coupon.code]

    @display(description="Off")
    def show_off(self, coupon: Coupon) -> str:
        return format_html('<span class="ch-money">{}</span>', off(coupon))

    @display(description="Lasts", ordering="duration")
    def show_duration(self, coupon: Coupon) -> str:
        return how_long(coupon).capitalize()

    @display(description="Takes off", ordering="scope")
    def show_scope(self, coupon: Coupon) -> str:
        return coupon.get_scope_display()

    @display(description="Applied", ordering="applied")
    def show_applied(self, coupon: Coupon) -> str:
        applied = getattr(coupon, "applied", 0)
        url = reverse("admin:billing_couponapplication_changelist", query={"coupon__id__exact": coupon.pk})
        most = f" of {coupon.max_redemptions}" if coupon.max_redemptions else "×"
        return format_html('<a class="text-link" href="{}">{}{}</a>', url, applied, most)

    @display(description="State", label={"active": "success", "archived": "warning"})
    def show_state(self, coupon: Coupon) -> tuple[str, str]:
        return ("active", "Active") if coupon.archived_at is None else ("archived", "Archived")

    def has_give_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("billing.add_couponapplication") and self._is_active(object_id)

    def has_archive_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_change_permission(request)) and self._is_active(object_id)

    def _is_active(self, object_id: Any) -> bool:
        return Coupon.objects.filter(pk=object_id, archived_at=None).exists()

    @action(description="Apply", icon="add", variant=ActionVariant.PRIMARY, permissions=["give"])
    def apply_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:billing_couponapplication_add", query={"coupon": object_id}))

    @action(
        description="Archive",
        icon="archive",
        variant=ActionVariant.DANGER,
        permissions=["archive"],
        dialog={
            "title": "Archive this discount?",
            "description": "It can't be applied any more. Where it is applied it goes on until it is ended or used up.",
            "form_class": ReasonForm,
            "form_submit_text": "Archive",
        },
    )
    def archive(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        coupon, reason = get_object_or_404(Coupon, pk=object_id), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: archive_coupon(coupon, now=timezone.now(), by=staff(request), reason=reason),
            done=f"{coupon} is archived.",
            then=page_of(coupon),
        )


def _clean_coupon(form: Any) -> dict[str, Any]:
    """Refuse chosen features and plans without that scope, and the scope without any."""
    cleaned: dict[str, Any] = super(type(form), form).clean() or form.cleaned_data
    has_chosen = bool(cleaned.get("features") or cleaned.get("plans"))
    if (cleaned.get("scope") == "chosen") != has_chosen:
        raise ValidationError({"scope": "Choose features or plans for the last of these, and only there."})
    return cleaned
