"""The /v1 doors of the customers app. `customers/usage` and what needs money are billing's."""

from django.urls import path, re_path

from customers import api, api_subscriptions

CUSTOMER = r"customers/(?P<customer_id>(?!(?:search|usage|wallets|external|portal)(?:/|$))[^/]+)"
SUBSCRIPTION = r"subscriptions/(?P<subscription_id>(?!(?:search|usage)(?:/|$))[^/]+)"

urlpatterns = [
    path("customers", api.Customers.as_view()),
    path("customers/search", api.CustomerSearch.as_view()),
    # An external id may hold a slash, which the official client doesn't encode.
    path("customers/external/<path:external_id>/entitlements", api.EntitlementsByExternalId.as_view()),
    path("customers/external/<path:external_id>/subscriptions", api.SubscriptionsByExternalId.as_view()),
    path("customers/external/<path:external_id>", api.CustomerByExternalId.as_view()),
    re_path(f"^{CUSTOMER}$", api.OneCustomer.as_view()),
    re_path(f"^{CUSTOMER}/entitlements$", api.CustomerEntitlements.as_view()),
    path("subscriptions", api_subscriptions.Subscriptions.as_view()),
    path("subscriptions/search", api_subscriptions.SubscriptionSearch.as_view()),
    re_path(f"^{SUBSCRIPTION}$", api_subscriptions.OneSubscription.as_view()),
    re_path(f"^{SUBSCRIPTION}/cancel$", api_subscriptions.SubscriptionCancel.as_view()),
    re_path(f"^{SUBSCRIPTION}/pause$", api_subscriptions.SubscriptionPause.as_view()),
    re_path(f"^{SUBSCRIPTION}/resume$", api_subscriptions.SubscriptionResume.as_view()),
    re_path(f"^{SUBSCRIPTION}/entitlements$", api_subscriptions.SubscriptionEntitlements.as_view()),
]
