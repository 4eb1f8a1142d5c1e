"""Discounts in the admin."""

from billing.admin.coupons import application_admin, coupon_admin

__all__ = ["application_admin", "coupon_admin"]
