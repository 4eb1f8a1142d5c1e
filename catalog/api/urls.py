"""URLs of the API views of the catalog."""

from django.urls import path

from catalog.api import addons, features, plans, prices, versions

urlpatterns = [
    path("addons", addons.AddonCollection.as_view()),
    path("addons/search", addons.AddonSearch.as_view()),
    path("addons/lookup/<str:addon_key>", addons.AddonByKey.as_view()),
    path("addons/<str:addon_id>", addons.OneAddon.as_view()),
    path("addons/<str:addon_id>/activate", addons.AddonActivation.as_view()),
    path("addons/<str:addon_id>/entitlements", addons.AddonEntitlements.as_view()),
    path("addons/<str:addon_id>/versions", addons.AddonVersions.as_view()),
    path("addons/<str:addon_id>/publish", addons.AddonPublication.as_view()),
    path("features", features.Features.as_view()),
    path("features/search", features.FeatureSearch.as_view()),
    path("features/<str:feature_id>", features.OneFeature.as_view()),
    path("features/<str:feature_id>/activate", features.FeatureActivation.as_view()),
    path("features/<str:feature_id>/clone", features.FeatureClone.as_view()),
    path("meters/<str:meter_id>", features.OneMeter.as_view()),
    path("plans", plans.Plans.as_view()),
    path("plans/search", plans.PlanSearch.as_view()),
    path("plans/<str:plan_id>", plans.OnePlan.as_view()),
    path("plans/<str:plan_id>/versions", versions.PlanVersions.as_view()),
    path("plans/<str:plan_id>/publish", versions.PlanPublication.as_view()),
    path("event-names/aliases", versions.EventNameAliases.as_view()),
    path("event-names/aliases/<path:event_name_alias>", versions.OneEventNameAlias.as_view()),
    path("plans/<str:plan_id>/activate", plans.PlanActivation.as_view()),
    path("plans/<str:plan_id>/clone", plans.PlanClone.as_view()),
    path("plans/<str:plan_id>/entitlements", plans.PlanEntitlements.as_view()),
    path("prices", prices.PriceCollection.as_view()),
    path("prices/bulk", prices.PriceBulk.as_view()),
    path("prices/search", prices.PriceSearch.as_view()),
    path("prices/lookup/<str:key>", prices.PriceByKey.as_view()),
    path("prices/<str:price_id>", prices.OnePrice.as_view()),
    path("entitlements", prices.EntitlementCollection.as_view()),
    path("entitlements/bulk", prices.EntitlementBulk.as_view()),
    path("entitlements/search", prices.EntitlementSearch.as_view()),
    path("entitlements/<str:entitlement_id>", prices.OneEntitlement.as_view()),
]
