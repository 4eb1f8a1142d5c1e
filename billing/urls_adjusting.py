"""The /v1 doors to wallets, coupons and taxes."""

from django.urls import path

from billing import api_coupons, api_modify, api_taxes, api_wallets

urlpatterns = [
    path("wallets", api_wallets.Wallets.as_view()),
    path("wallets/search", api_wallets.WalletSearch.as_view()),
    path("wallets/transactions/search", api_wallets.TransactionSearch.as_view()),
    path("wallets/<str:wallet_id>", api_wallets.OneWallet.as_view()),
    path("wallets/<str:wallet_id>/balance/real-time", api_wallets.WalletBalance.as_view()),
    path("wallets/<str:wallet_id>/top-up", api_wallets.WalletTopUp.as_view()),
    path("wallets/<str:wallet_id>/debit", api_wallets.WalletDebit.as_view()),
    path("wallets/<str:wallet_id>/terminate", api_wallets.WalletTerminate.as_view()),
    path("wallets/<str:wallet_id>/transactions", api_wallets.WalletTransactions.as_view()),
    path("coupons", api_coupons.Coupons.as_view()),
    path("coupons/search", api_coupons.CouponSearch.as_view()),
    path("coupons/associations", api_coupons.CouponAssociations.as_view()),
    path("coupons/associations/<str:association_id>", api_coupons.OneCouponAssociation.as_view()),
    path("coupons/code/<str:code>", api_coupons.CouponByCode.as_view()),
    path("coupons/<str:coupon_id>", api_coupons.OneCoupon.as_view()),
    path("taxes/rates", api_taxes.TaxRates.as_view()),
    path("taxes/rates/<str:rate_id>", api_taxes.OneTaxRate.as_view()),
    path("taxes/associations", api_taxes.TaxAssociations.as_view()),
    path("taxes/associations/<str:association_id>", api_taxes.OneTaxAssociation.as_view()),
    path("subscriptions/<str:subscription_id>/modify/execute", api_modify.SubscriptionModify.as_view()),
    path("customers/wallets", api_wallets.CustomerWallets.as_view()),
    path("customers/<str:customer_id>/wallets", api_wallets.WalletsOfCustomer.as_view()),
]
