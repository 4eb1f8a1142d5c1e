"""URLs of the API views of customers. `customers/usage` and views that need money are in billing."""

from django.urls import path, re_path

from customers.api import addons, aliases, customers, line_items, schedules, subscription_parts, subscriptions

CUSTOMER = r"customers/(?P<customer_id>(?!(?:search|usage|wallets|external|portal|aliases)(?:/|$))[^/]+)"
SUBSCRIPTION = r"subscriptions/(?P<subscription_id>(?!(?:search|usage|schedules|lineitems|addon)(?:/|$))[^/]+)"

urlpatterns = [
    path("customers", customers.Customers.as_view()),
    path("customers/aliases", aliases.CustomerAliases.as_view()),
    path("customers/search", customers.CustomerSearch.as_view()),
    # An external id may hold a slash, which the official client doesn't encode.
    path("customers/external/<path:external_id>/entitlements", customers.EntitlementsByExternalId.as_view()),
    path("customers/external/<path:external_id>/subscriptions", customers.SubscriptionsByExternalId.as_view()),
    path("customers/external/<path:external_id>", customers.CustomerByExternalId.as_view()),
    re_path(f"^{CUSTOMER}$", customers.OneCustomer.as_view()),
    re_path(f"^{CUSTOMER}/activate$", customers.CustomerActivate.as_view()),
    re_path(f"^{CUSTOMER}/entitlements$", customers.CustomerEntitlements.as_view()),
    path("subscriptions", subscriptions.Subscriptions.as_view()),
    path("subscriptions/search", subscriptions.SubscriptionSearch.as_view()),
    path("subscriptions/lineitems/search", subscription_parts.LineItemSearch.as_view()),
    path("subscriptions/lineitems/<str:line_item_id>", line_items.OneLineItem.as_view()),
    path("subscriptions/addon", addons.SubscriptionAddons.as_view()),
    re_path(f"^{SUBSCRIPTION}/addons/associations$", addons.AddonAssociations.as_view()),
    re_path(f"^{SUBSCRIPTION}/v2$", subscription_parts.SubscriptionV2.as_view()),
    re_path(f"^{SUBSCRIPTION}/lineitems$", line_items.LineItems.as_view()),
    re_path(f"^{SUBSCRIPTION}/pauses$", subscription_parts.SubscriptionPauses.as_view()),
    path("subscriptions/schedules", schedules.AllSchedules.as_view()),
    path("subscriptions/schedules/<str:schedule_id>", schedules.OneSchedule.as_view()),
    path("subscriptions/schedules/<str:schedule_id>/cancel", schedules.ScheduleCancel.as_view()),
    re_path(f"^{SUBSCRIPTION}/schedules$", schedules.SubscriptionSchedules.as_view()),
    re_path(f"^{SUBSCRIPTION}$", subscriptions.OneSubscription.as_view()),
    re_path(f"^{SUBSCRIPTION}/cancel$", subscriptions.SubscriptionCancel.as_view()),
    re_path(f"^{SUBSCRIPTION}/pause$", subscriptions.SubscriptionPause.as_view()),
    re_path(f"^{SUBSCRIPTION}/resume$", subscriptions.SubscriptionResume.as_view()),
    re_path(f"^{SUBSCRIPTION}/entitlements$", subscriptions.SubscriptionEntitlements.as_view()),
]
