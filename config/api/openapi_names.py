"""Names of the enums in the OpenAPI schema, one for each list of values that several fields share."""

OPENAPI_ENUM_NAMES: dict[str, str | list[str]] = {
    "AggregationEnum": [
        *("COUNT", "SUM", "AVG", "COUNT_UNIQUE", "LATEST", "SUM_WITH_MULTIPLIER", "MAX", "WEIGHTED_SUM", "MIN")
    ],
    "BillingPeriodEnum": ["MONTHLY", "ANNUAL", "WEEKLY", "DAILY", "QUARTERLY", "HALF_YEARLY"],
    "CouponKindEnum": ["fixed", "percentage"],
    "CouponScopeEnum": ["everything", "fees", "usage", "chosen"],
    "CreditReasonEnum": [
        *("BILLING_ERROR", "SERVICE_ISSUE", "ORDER_CHANGE", "DUPLICATE", "UNSATISFACTORY"),
        *("SUBSCRIPTION_CANCELLATION", "FRAUDULENT"),
    ],
    "BillingRunKindEnum": "billing.models.RunKind",
    "BillingRunStateEnum": "billing.models.RunState",
    "DeliveryStatusEnum": "config.webhooks.models.DeliveryState",
    "DiagnosisStepStatusEnum": ["pass", "warning", "fail", "info"],
    "EntitlementResetEnum": ["MONTHLY", "WEEKLY", "DAILY", "NEVER"],
    "EntitlementResetAskedEnum": ["MONTHLY", "WEEKLY", "DAILY", "NEVER", "ANNUAL", "QUARTERLY", "HALF_YEARLY"],
    "EventStateEnum": ["counted", "partly_counted", "problem", "voided", "dismissed"],
    "FeatureKindEnum": ["metered", "boolean", "static"],
    "InvoiceStatusEnum": ["DRAFT", "FINALIZED", "VOIDED"],
    "InvoiceStatusAskedEnum": ["DRAFT", "FINALIZED"],
    "LateAdjustmentStateEnum": "billing.models.LateState",
    "LineEntityEnum": ["plan"],
    "LookupStatusEnum": ["processed", "processing", "failed"],
    "PriceEntityEnum": ["PLAN"],
    "PriceKindEnum": ["USAGE", "FIXED"],
    "PublishedEnum": ["published"],
    "ReasonEnum": "events.reasons.Reason",
    "RecordStatusEnum": ["published", "archived"],
    "TaxExemptionEnum": ["customer_exempt", "reverse_charge"],
    "TaxEntityEnum": ["tenant", "customer", "subscription"],
    "WalletTransactionEnum": ["credit", "debit"],
    "SubscriptionStatusEnum": ["scheduled", "trialing", "active", "paused", "cancelled"],
}
