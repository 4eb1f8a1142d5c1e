"""The scopes that each operation of the API needs, written down by hand. Reading needs `read`."""

READ = frozenset({"read"})
READING_BY_POST = {
    "dryRunEvent",
    "getInvoicePreview",
    "getSubscriptionUsage",
    "getUsageAnalytics",
    "getUsageByMeter",
    "getUsageStatistics",
    "previewEmail",
    "previewSubscriptionChange",
    "queryAddon",
    "queryAlertSettings",
    "queryCoupon",
    "queryCreditNote",
    "previewSubscriptionModify",
    "previewSubscriptionPause",
    "previewSubscriptionResume",
    "queryCustomer",
    "queryEntitlement",
    "queryEvents",
    "queryFeature",
    "queryInvoice",
    "queryPlan",
    "queryPrice",
    "querySubscription",
    "querySubscriptionLineItems",
    "queryWallet",
    "queryWalletTransaction",
}

# Operations that change something, by the scopes that a key needs for them.
WRITING = {
    ("events:write",): "ingestEvent ingestEventsBulk",
    ("catalog:write",): """
        activateFeature activatePlan cloneFeature clonePlan createEntitlement createEntitlementsBulk createFeature
        createPlan createPlanVersion createPrice createPricesBulk deleteEntitlement deleteEventNameAlias deleteFeature
        deletePlan deletePrice mapEventName publishPlan updateEntitlement updateFeature updatePlan updatePrice
        activateAddon createAddon createAddonVersion deleteAddon publishAddon updateAddon
        """,
    ("customers:write",): """
        addSubscriptionAddon removeSubscriptionAddon
        activateCustomer cancelSubscription cancelSubscriptionSchedule createAlertSettings createCustomer
        createSubscription createSubscriptionCommitment createSubscriptionLineItem createUsageAlert
        deleteAlertSettings deleteCustomer
        deleteSubscriptionLineItem deleteUsageAlert endSubscriptionCommitment
        executeSubscriptionChange mapExternalId pauseSubscription resumeSubscription updateAlertSettings updateCustomer
        updateCustomerById updateSubscription updateSubscriptionLineItem updateUsageAlert
        """,
    ("billing:write",): """
        activateCoupon activateTaxRate applyPayment approveLateAdjustments billSubscriptions calculateMonthEnd
        closeMonth createCoupon createCouponAssociation createCreditNote createEmail createInvoice createPayment
        createPaymentBatch settleInvoiceDifference
        acceptBankEntries acceptBankEntry createBankImport dismissBankEntry reopenBankEntry
        createTaxAssociation createTaxRate createWallet creditPayment debitWallet deleteCoupon deleteCouponAssociation
        deleteInvoice deletePayment deleteTaxAssociation deleteTaxRate dismissConflicts dismissProblems
        createReminderPause createReminderSchedule deleteReminderSchedule endReminderPause handleReminder
        setCustomerReminderSchedule updateReminderSchedule
        handleEmail resendEmail resetEmailTemplate testEmailTemplate updateEmailTemplate
        executeInvoiceModify executeSubscriptionModify finalizeInvoice finalizeInvoices holdInvoice holdInvoices
        payJointInvoice
        processCreditNote recalculateInvoice recalculateInvoiceV2 refundCreditNote refundPayment
        reissueInvoice releaseInvoice reopenLateAdjustments reopenMonth replayProblems reversePayment startBillingRun
        startProofs startSimulation cancelSimulation
        terminateWallet topUpWallet updateCoupon updateInvoice updateInvoicePaymentStatus updateLatePolicy
        updateTaxAssociation updateTaxRate updateWallet voidCreditNote voidEvents voidInvoice
        waiveLateAdjustments withdrawApproval
        """,
    # A key can't make, rotate or change a key that may do more than itself; the examples' keys read and send events.
    ("keys:write", "read"): "deleteApiKey rotateApiKey updateApiKey",
    ("keys:write", "events:write"): "createApiKey",
    # The example grants prepaid credit, and maps the name of an event.
    ("approvals:write", "billing:write"): "approveApproval rejectApproval",
    ("catalog:write", "read"): "applyFix previewFix",
    ("alarms:write",): "acknowledgeAlarm",
    ("personal_data",): "eraseCustomerPersonalData exportCustomerPersonalData getCustomerErasure",
    ("all",): """
        createNumberSeries createWebhook deleteWebhook listSignIns makeNumberSeriesDefault resendWebhookDelivery
        rotateWebhookSecret testWebhook updateApprovalRule updateCompany updateNumberSeries updateWebhook
        """,
}
SCOPES = {name: frozenset(scopes) for scopes, names in WRITING.items() for name in names.split()}


def scopes_of(name: str, method: str) -> frozenset[str]:
    """Return the scopes that an operation needs."""
    return READ if name in READING_BY_POST or (method == "get" and name not in SCOPES) else SCOPES[name]
