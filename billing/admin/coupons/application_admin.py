"""Applied discounts in the admin, and the invoices they reduced."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from billing.adjustments.coupons import (
    CannotApply,
    apply_coupon,
    check_applicable,
    describe_duration,
    describe_reduction,
    end_application,
    find_application,
)
from billing.admin.coupons.describe import describe_recipient, describe_uses, is_used_up, with_uses
from billing.admin.shared import link
from billing.models import CouponApplication, CouponUse, status_of
from billing.money import format_amount
from config.office.base import OfficeAdmin
from config.office.dialogs import ReasonForm, action, carry_out, staff
from config.office.links import page_of
from config.office.permissions import ReadOnlyInline
from config.office.wording import local_day


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
            same = CouponApplication.objects.filter(
                coupon=coupon, customer=customer, subscription=subscription, invoice=None
            )
            now = timezone.now()
            try:
                if find_application(same, starts_at=now, ends_at=None, now=now) is None:
                    check_applicable(coupon, customer, subscription, now=now)
            except CannotApply as refusal:
                raise ValidationError({"coupon": str(refusal)}) from refusal
        return cleaned


class ActiveFilter(DropdownFilter):
    """Filter applied discounts by whether they are active or ended."""

    title = "Status"
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

    @admin.display(description="Status")
    def show_state(self, use: CouponUse) -> str:
        return "Returned: the invoice is void" if use.returned_at else str(status_of(use.invoice, timezone.now()).label)


@admin.register(CouponApplication)
class CouponApplicationAdmin(OfficeAdmin):
    """A discount applied to a customer or a subscription, and the invoices it reduced."""

    form = ApplyForm
    list_display = ("show_coupon", "show_customer", "subscription_id_shown", "show_used", "show_since", "show_state")
    list_select_related = ("coupon", "customer", "subscription", "invoice")
    list_filter = (
        ActiveFilter,
        ("coupon", AutocompleteSelectFilter),
        ("customer", AutocompleteSelectFilter),
    )
    search_fields = ("coupon__code", "customer__name", "customer__external_id", "public_id")
    search_help_text = "Code, or the customer's name or external customer ID"
    ordering = ("-pk",)
    autocomplete_fields = ("coupon", "customer", "subscription")
    inlines = (UsesInline,)
    fields = ("coupon", "customer", "subscription", "reason")
    export_columns = (
        ("ID", "public_id"),
        ("Code", "coupon__code"),
        ("Customer", "customer__name"),
        ("External customer ID", "customer__external_id"),
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
        return with_uses(super().get_queryset(request))

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
        if application.invoice is not None:
            return str(application.invoice)
        return application.subscription.public_id if application.subscription else "All"

    @display(description="Invoices reduced")
    def show_used(self, application: CouponApplication) -> str:
        return describe_uses(application)

    @display(description="From", ordering="starts_at")
    def show_since(self, application: CouponApplication) -> str:
        return local_day(application.starts_at)

    @display(description="Status", label={"active": "success", "used": "info", "ended": "warning"})
    def show_state(self, application: CouponApplication) -> tuple[str, str]:
        now = timezone.now()
        if application.ended_at is not None and application.ended_at <= now:
            return "ended", f"Ended {local_day(application.ended_at)}"
        if is_used_up(application):
            return "used", "Used up"
        if application.starts_at > now:
            return "used", f"Starts {local_day(application.starts_at)}"
        return "active", "Active" if application.ended_at is None else f"Active until {local_day(application.ended_at)}"

    def facts_of(self, request: HttpRequest, obj: CouponApplication) -> dict[str, Any]:
        return {"taken": obj.uses.filter(returned_at=None).aggregate(sum=Sum("amount"))["sum"]}

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        applications = CouponApplication.objects.filter(pk=object_id, invoice=None).ending_after(timezone.now())
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
