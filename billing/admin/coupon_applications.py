"""Applied discounts in the admin: for whom a coupon works, since when, and which invoices it reduced."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from billing.adjustments.coupons import CannotApply, apply_coupon, check_applicable, end_application, how_long, off
from billing.admin.shared import OptionalTab
from billing.models import CouponApplication, CouponUse
from billing.money import format_amount
from config.office.base import OfficeAdmin
from config.office.dialogs import ReasonForm, carry_out, staff
from config.office.links import page_of
from config.office.permissions import ReadOnlyInline
from config.office.wording import local_day
from customers.admin import add_customer_action, add_customer_tab, add_subscription_tab


class ApplicationsInline(ReadOnlyInline):
    """Where a coupon is at work."""

    model = CouponApplication
    formset = OptionalTab
    fields = ("show_whom", "show_coupon", "show_start", "show_end", "show_used")
    readonly_fields = fields
    ordering = ("-pk",)
    tab = True
    per_page = 20
    verbose_name_plural = "discounts"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponApplication]:
        rows: QuerySet[CouponApplication] = super().get_queryset(request)
        used = Count("uses", filter=Q(uses__returned_at=None))
        return rows.select_related("coupon", "customer", "subscription__customer").annotate(used=used)

    @admin.display(description="For")
    def show_whom(self, application: CouponApplication) -> str:
        return whom(application)

    @admin.display(description="Discount")
    def show_coupon(self, application: CouponApplication) -> str:
        says = f"{application.coupon.code}: {off(application.coupon)}"
        return format_html('<a class="text-link" href="{}">{}</a>', page_of(application), says)

    @admin.display(description="From")
    def show_start(self, application: CouponApplication) -> str:
        return local_day(application.starts_at)

    @admin.display(description="Until")
    def show_end(self, application: CouponApplication) -> str:
        return local_day(application.ended_at)

    @admin.display(description="Invoices reduced")
    def show_used(self, application: CouponApplication) -> str:
        return used_of(application)


add_customer_tab(ApplicationsInline)
add_subscription_tab(ApplicationsInline)


@action(description="Apply a discount", icon="percent_discount", permissions=["apply_discount"])
def apply_discount(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Lead from a customer's page to the form that applies a discount."""
    return HttpResponseRedirect(reverse("admin:billing_couponapplication_add", query={"customer": object_id}))


def _may_apply(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return request.user.has_perm("billing.add_couponapplication")


add_customer_action("apply_discount", apply_discount, allowed=_may_apply)


def whom(application: CouponApplication) -> str:
    """Say for whom a coupon works."""
    if application.subscription is None:
        return f"{application.customer}, every subscription"
    return f"{application.customer}, {application.subscription.public_id} only"


def used_of(application: CouponApplication) -> str:
    limit, used = application.coupon.limit, getattr(application, "used", 0)
    return f"{used} of {limit}" if limit is not None else str(used)


class ApplyForm(forms.ModelForm):
    """Ask whom a coupon is for, and check that it can be applied there now."""

    class Meta:
        labels: ClassVar = {"coupon": "Discount"}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        coupon, customer, subscription = (cleaned.get(name) for name in ("coupon", "customer", "subscription"))
        if subscription is not None and customer is not None and subscription.customer_id != customer.pk:
            raise ValidationError({"subscription": f"This isn't a subscription of {customer}."})
        if coupon is not None and customer is not None:
            try:
                check_applicable(coupon, customer, subscription, now=timezone.now())
            except CannotApply as refused:
                raise ValidationError({"coupon": str(refused)}) from refused
        return cleaned


class RunningFilter(DropdownFilter):
    """Discounts at work, and those that were ended."""

    title = "State"
    parameter_name = "running"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "At work"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        running = Q(ended_at=None) | Q(ended_at__gt=timezone.now())
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(running if self.value() == "yes" else ~running)


class UsesInline(TabularInline):
    """The invoices that it reduced."""

    model = CouponUse
    fields = ("number", "show_invoice", "show_amount", "show_state")
    readonly_fields = fields
    ordering = ("-number",)
    extra = 0
    can_delete = False
    show_title = False
    tab = True
    per_page = 20
    verbose_name_plural = "invoices reduced"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponUse]:
        rows: QuerySet[CouponUse] = super().get_queryset(request).select_related("invoice", "application__coupon")
        return rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="Invoice")
    def show_invoice(self, use: CouponUse) -> str:
        return format_html('<a class="text-link" href="{}">{}</a>', page_of(use.invoice), use.invoice)

    @admin.display(description="Took off")
    def show_amount(self, use: CouponUse) -> str:
        return format_amount(use.amount, use.invoice.currency)

    @admin.display(description="State")
    def show_state(self, use: CouponUse) -> str:
        return "Given back: the invoice is void" if use.returned_at else str(use.invoice.get_state_display())


@admin.register(CouponApplication)
class CouponApplicationAdmin(OfficeAdmin):
    """A discount at work for a customer or a subscription, and the invoices that it reduced."""

    form = ApplyForm
    list_display = ("show_coupon", "show_customer", "subscription_id_shown", "show_used", "show_since", "show_state")
    list_select_related = ("coupon", "customer", "subscription")
    list_filter = (
        RunningFilter,
        ("coupon", AutocompleteSelectFilter),
        ("customer", AutocompleteSelectFilter),
    )
    search_fields = ("coupon__code", "customer__name", "customer__external_id", "public_id")
    search_help_text = "Code, customer's name or external id"
    ordering = ("-pk",)
    autocomplete_fields = ("coupon", "customer", "subscription")
    inlines = (UsesInline,)
    fields = ("coupon", "customer", "subscription", "reason")
    export_columns = (
        ("Id", "public_id"),
        ("Code", "coupon__code"),
        ("Customer", "customer__name"),
        ("External id", "customer__external_id"),
        ("Subscription", lambda row: row.subscription.public_id if row.subscription else ""),
        ("Invoices reduced", "used"),
        ("From (UTC)", "starts_at"),
        ("Until (UTC)", "ended_at"),
    )
    empty_icon = "percent_discount"
    empty_title = "No discount is applied"
    empty_text = "Apply one from its own page, or from a customer's."
    actions_detail = ("end_it",)

    def get_fields(self, request: HttpRequest, obj: CouponApplication | None = None) -> tuple[str, ...]:
        return (*self.fields, "starts_at", "ended_at", "applied_by", "public_id") if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: CouponApplication | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponApplication]:
        used = Count("uses", filter=Q(uses__returned_at=None))
        rows: QuerySet[CouponApplication] = super().get_queryset(request).annotate(used=used)
        return rows

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show it without a way to save: there is nothing to change, it is only ended."""
        nothing = dict.fromkeys(("show_save", "show_save_and_continue", "show_save_and_add_another"), False)
        shown: HttpResponse = super().change_view(request, object_id, form_url, {**nothing, **(extra_context or {})})
        return shown

    def save_model(self, request: HttpRequest, obj: CouponApplication, form: Any, change: bool) -> None:
        made = apply_coupon(
            obj.coupon, obj.customer, subscription=obj.subscription, now=timezone.now(), by=staff(request),
            reason=obj.reason,
        )  # fmt: skip
        obj.pk, obj.public_id = made.pk, made.public_id

    def has_delete_permission(self, request: HttpRequest, obj: CouponApplication | None = None) -> bool:
        """Never: invoices were reduced by it. It is ended."""
        return False

    @display(description="Discount", header=True, ordering="coupon__code")
    def show_coupon(self, application: CouponApplication) -> list[str]:
        return [application.coupon.code, f"{off(application.coupon)}, {how_long(application.coupon)}"]

    @display(description="Customer", header=True, ordering="customer__name")
    def show_customer(self, application: CouponApplication) -> list[str]:
        return [application.customer.name, application.customer.external_id]

    @display(description="Only subscription")
    def subscription_id_shown(self, application: CouponApplication) -> str:
        return application.subscription.public_id if application.subscription else "–"

    @display(description="Invoices reduced")
    def show_used(self, application: CouponApplication) -> str:
        return used_of(application)

    @display(description="From", ordering="starts_at")
    def show_since(self, application: CouponApplication) -> str:
        return local_day(application.starts_at)

    @display(description="State", label={"running": "success", "used": "info", "ended": "warning"})
    def show_state(self, application: CouponApplication) -> tuple[str, str]:
        limit, used = application.coupon.limit, getattr(application, "used", 0)
        if application.ended_at is not None:
            return "ended", f"Ends {local_day(application.ended_at)}"
        return ("used", "Used up") if limit is not None and used >= limit else ("running", "At work")

    def facts_of(self, request: HttpRequest, obj: CouponApplication) -> dict[str, Any]:
        return {"taken": obj.uses.filter(returned_at=None).aggregate(sum=Sum("amount"))["sum"]}

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        running = CouponApplication.objects.filter(pk=object_id, ended_at=None)
        return bool(self.has_change_permission(request)) and running.exists()

    @action(
        description="End",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["end"],
        dialog={
            "title": "End this discount here?",
            "description": "Invoices that fall due from now on aren't reduced by it. Those that were stay as they are.",
            "form_class": ReasonForm,
            "form_submit_text": "End",
        },
    )
    def end_it(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        application, reason = get_object_or_404(CouponApplication, pk=object_id), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: end_application(application, at=timezone.now(), by=staff(request), reason=reason),
            done=f"{application.coupon} is ended for {whom(application)}.",
            then=page_of(application),
        )
