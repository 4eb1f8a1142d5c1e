"""The tab of applied discounts on the pages of customers, subscriptions and coupons."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin

from billing.adjustments.coupons import (
    describe_reduction,
)
from billing.admin.coupons.describe import describe_recipient, describe_uses, with_uses
from billing.admin.shared import OptionalTab
from billing.models import CouponApplication
from config.office.dialogs import action
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
        related = ("coupon", "customer", "subscription__customer", "invoice")
        return with_uses(applications.select_related(*related))

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
