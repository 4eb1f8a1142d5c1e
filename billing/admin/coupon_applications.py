"""Applied discounts in the admin: customers' and subscriptions' discounts, and the invoices they reduced."""

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
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from billing.adjustments.coupons import (
    CannotApply,
    apply_coupon,
    check_applicable,
    describe_duration,
    describe_reduction,
    end_application,
)
from billing.admin.shared import OptionalTab, link
from billing.models import CouponApplication, CouponUse
from billing.money import format_amount
from config.office.base import OfficeAdmin
from config.office.dialogs import ReasonForm, carry_out, staff
from config.office.links import page_of
from config.office.permissions import ReadOnlyInline
from config.office.wording import local_day
from customers.admin import add_customer_action, add_customer_tab, add_subscription_tab


class ApplicationsInline(ReadOnlyInline):
    """Applied discounts, on the page of a customer, a subscription or a coupon."""

    model = CouponApplication
    formset = OptionalTab
    fields = ("show_recipient", "show_coupon", "show_start", "show_end", "show_used")
    readonly_fields = fields
    ordering = ("-pk",)
    tab = True
    per_page = 20
    verbose_name_plural = "discounts"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponApplication]:
        applications: QuerySet[CouponApplication] = super().get_queryset(request)
        used = Count("uses", filter=Q(uses__returned_at=None))
        return applications.select_related("coupon", "customer", "subscription__customer").annotate(used=used)

    @admin.display(description="Applied to")
    def show_recipient(self, application: CouponApplication) -> str:
        return describe_recipient(application)

    @admin.display(description="Discount")
    def show_coupon(self, application: CouponApplication) -> str:
        text = f"{application.coupon.code}: {describe_reduction(application.coupon)}"
        return format_html('<a class="ch-link" href="{}">{}</a>', page_of(application), text)

    @admin.display(description="From")
    def show_start(self, application: CouponApplication) -> str:
        return local_day(application.starts_at)

    @admin.display(description="Until")
    def show_end(self, application: CouponApplication) -> str:
        return local_day(application.ended_at)

    @admin.display(description="Invoices reduced")
    def show_used(self, application: CouponApplication) -> str:
        return describe_uses(application)


add_customer_tab(ApplicationsInline)
add_subscription_tab(ApplicationsInline)


@action(description="Apply discount", icon="percent_discount", permissions=["apply_discount"])
def apply_discount(customers: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Open the form to apply a discount to the customer."""
    return HttpResponseRedirect(reverse("admin:billing_couponapplication_add", query={"customer": object_id}))


def may_apply(customers: ModelAdmin, request: HttpRequest, object_id: Any = None) -> bool:
    return request.user.has_perm("billing.add_couponapplication")


add_customer_action("apply_discount", apply_discount, allowed=may_apply)


def describe_recipient(application: CouponApplication) -> str:
    """Describe who gets the discount: all of a customer's subscriptions, or one of them."""
    if application.subscription is None:
        return f"{application.customer}, all subscriptions"
    return f"{application.customer}, only {application.subscription.public_id}"


def describe_uses(application: CouponApplication) -> str:
    """Count the invoices reduced, of the limit if there is one."""
    limit, used = application.coupon.limit, getattr(application, "used", 0)
    return f"{used} of {limit}" if limit is not None else str(used)


class ApplyForm(forms.ModelForm):
    """Ask for the coupon and the customer or subscription, and check that it can be applied now."""

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
            except CannotApply as refusal:
                raise ValidationError({"coupon": str(refusal)}) from refusal
        return cleaned


class ActiveFilter(DropdownFilter):
    """Filter applied discounts by whether they are active or ended."""

    title = "State"
    parameter_name = "running"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Active"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        is_active = Q(ended_at=None) | Q(ended_at__gt=timezone.now())
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(is_active if self.value() == "yes" else ~is_active)


class UsesInline(ReadOnlyInline):
    """The invoices reduced by an applied discount."""

    model = CouponUse
    fields = ("number", "show_invoice", "show_amount", "show_state")
    readonly_fields = fields
    ordering = ("-number",)
    tab = True
    per_page = 20
    verbose_name_plural = "invoices reduced"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponUse]:
        uses: QuerySet[CouponUse] = super().get_queryset(request).select_related("invoice", "application__coupon")
        return uses

    @admin.display(description="Invoice")
    def show_invoice(self, use: CouponUse) -> SafeString | str:
        return link(use.invoice)

    @admin.display(description="Discount amount")
    def show_amount(self, use: CouponUse) -> str:
        return format_amount(use.amount, use.invoice.currency)

    @admin.display(description="State")
    def show_state(self, use: CouponUse) -> str:
        return "Returned: the invoice is void" if use.returned_at else str(use.invoice.get_state_display())


@admin.register(CouponApplication)
class CouponApplicationAdmin(OfficeAdmin):
    """A discount applied to a customer or a subscription, and the invoices it reduced."""

    form = ApplyForm
    list_display = ("show_coupon", "show_customer", "subscription_id_shown", "show_used", "show_since", "show_state")
    list_select_related = ("coupon", "customer", "subscription")
    list_filter = (
        ActiveFilter,
        ("coupon", AutocompleteSelectFilter),
        ("customer", AutocompleteSelectFilter),
    )
    search_fields = ("coupon__code", "customer__name", "customer__external_id", "public_id")
    search_help_text = "Code, or the customer's name or external ID"
    ordering = ("-pk",)
    autocomplete_fields = ("coupon", "customer", "subscription")
    inlines = (UsesInline,)
    fields = ("coupon", "customer", "subscription", "reason")
    export_columns = (
        ("ID", "public_id"),
        ("Code", "coupon__code"),
        ("Customer", "customer__name"),
        ("External ID", "customer__external_id"),
        ("Subscription", lambda application: application.subscription.public_id if application.subscription else ""),
        ("Invoices reduced", "used"),
        ("From (UTC)", "starts_at"),
        ("Until (UTC)", "ended_at"),
    )
    empty_icon = "percent_discount"
    empty_title = "No applied discounts"
    empty_text = "Open a discount or a customer to apply one."
    actions_detail = ("end_it",)

    def get_fields(self, request: HttpRequest, obj: CouponApplication | None = None) -> tuple[str, ...]:
        return (*self.fields, "starts_at", "ended_at", "applied_by", "public_id") if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: CouponApplication | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[CouponApplication]:
        used = Count("uses", filter=Q(uses__returned_at=None))
        applications: QuerySet[CouponApplication] = super().get_queryset(request).annotate(used=used)
        return applications

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Hide the save buttons: an applied discount can only be ended."""
        hidden = dict.fromkeys(("show_save", "show_save_and_continue", "show_save_and_add_another"), False)
        response: HttpResponse = super().change_view(request, object_id, form_url, {**hidden, **(extra_context or {})})
        return response

    def save_model(self, request: HttpRequest, obj: CouponApplication, form: Any, change: bool) -> None:
        application = apply_coupon(
            obj.coupon,
            obj.customer,
            subscription=obj.subscription,
            now=timezone.now(),
            by=staff(request),
            reason=obj.reason,
        )
        obj.pk, obj.public_id = application.pk, application.public_id

    def has_delete_permission(self, request: HttpRequest, obj: CouponApplication | None = None) -> bool:
        """Applied discounts can't be deleted, because invoices refer to them. They can be ended."""
        return False

    @display(description="Discount", header=True, ordering="coupon__code")
    def show_coupon(self, application: CouponApplication) -> list[str]:
        return [
            application.coupon.code,
            f"{describe_reduction(application.coupon)}, {describe_duration(application.coupon)}",
        ]

    @display(description="Customer", header=True, ordering="customer__name")
    def show_customer(self, application: CouponApplication) -> list[str]:
        return [application.customer.name, application.customer.external_id]

    @display(description="Subscription")
    def subscription_id_shown(self, application: CouponApplication) -> str:
        return application.subscription.public_id if application.subscription else "All"

    @display(description="Invoices reduced")
    def show_used(self, application: CouponApplication) -> str:
        return describe_uses(application)

    @display(description="From", ordering="starts_at")
    def show_since(self, application: CouponApplication) -> str:
        return local_day(application.starts_at)

    @display(description="State", label={"active": "success", "used": "info", "ended": "warning"})
    def show_state(self, application: CouponApplication) -> tuple[str, str]:
        limit, used = application.coupon.limit, getattr(application, "used", 0)
        if application.ended_at is not None:
            return "ended", f"Ends {local_day(application.ended_at)}"
        return ("used", "Used up") if limit is not None and used >= limit else ("active", "Active")

    def facts_of(self, request: HttpRequest, obj: CouponApplication) -> dict[str, Any]:
        return {"taken": obj.uses.filter(returned_at=None).aggregate(sum=Sum("amount"))["sum"]}

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        applications = CouponApplication.objects.filter(pk=object_id, ended_at=None)
        return bool(self.has_change_permission(request)) and applications.exists()

    @action(
        description="End discount",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["end"],
        dialog={
            "title": "End this discount?",
            "description": "It no longer reduces new invoices of this customer. Existing invoices don't change.",
            "form_class": ReasonForm,
            "form_submit_text": "End discount",
        },
    )
    def end_it(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        application, reason = get_object_or_404(CouponApplication, pk=object_id), form.cleaned_data["reason"]
        return carry_out(
            request,
            lambda: end_application(application, at=timezone.now(), by=staff(request), reason=reason),
            done=f"Ended {application.coupon} for {describe_recipient(application)}.",
            then=page_of(application),
        )
