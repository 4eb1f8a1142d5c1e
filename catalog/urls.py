"""The /v1 doors of the catalog app."""

from django.urls import path

from catalog import api, api_plans, api_prices

urlpatterns = [
    path("features", api.Features.as_view()),
    path("features/search", api.FeatureSearch.as_view()),
    path("features/<str:feature_id>", api.OneFeature.as_view()),
    path("features/<str:feature_id>/clone", api.FeatureClone.as_view()),
    path("meters/<str:meter_id>", api.OneMeter.as_view()),
    path("plans", api_plans.Plans.as_view()),
    path("plans/search", api_plans.PlanSearch.as_view()),
    path("plans/<str:plan_id>", api_plans.OnePlan.as_view()),
    path("plans/<str:plan_id>/clone", api_plans.PlanClone.as_view()),
    path("plans/<str:plan_id>/entitlements", api_plans.PlanEntitlements.as_view()),
    path("prices", api_prices.PriceCollection.as_view()),
    path("prices/bulk", api_prices.PriceBulk.as_view()),
    path("prices/search", api_prices.PriceSearch.as_view()),
    path("prices/lookup/<str:key>", api_prices.PriceByKey.as_view()),
    path("prices/<str:price_id>", api_prices.OnePrice.as_view()),
    path("entitlements", api_prices.EntitlementCollection.as_view()),
    path("entitlements/bulk", api_prices.EntitlementBulk.as_view()),
    path("entitlements/search", api_prices.EntitlementSearch.as_view()),
    path("entitlements/<str:entitlement_id>", api_prices.OneEntitlement.as_view()),
]
