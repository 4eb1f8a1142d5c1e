"""Everything in the admin has an endpoint, or a reason in docs/api.md why it has none."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import RequestFactory

from tests.scenarios.admin_actions import list_admin_actions
from tests.scenarios.schema import list_operations

TEXT = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()
STAFF = "staff, roles, passwords, and who is responsible for a key"
SIGN_IN = "rules for signing in, second factors and sessions"
SCHEDULES = "schedules of background tasks"
EXPORTS = "exports to CSV and Excel"
IMPORT = "import of customers from a file"
PLAN_PAGES = "pictures and sample calculations of prices"
NAVIGATION = "Home and the search"

# The operations that do what an action, form or page does; or a reason, as docs/api.md names it.
COVERED: dict[str, str | tuple[str, ...]] = {
    "auditlog.logentry.verify": "getChangeLogStatus",
    "auth.group": STAFF,
    "auth.user": STAFF,
    "auth.user.reset_second_factor": SIGN_IN,
    "auth.user.sign_out_everywhere": SIGN_IN,
    "config.signinrules": SIGN_IN,
    "django_celery_beat": SCHEDULES,
    "billing.billingrun.start": "startBillingRun",
    "billing.billingrun.start_dry": "startBillingRun",
    "billing.billingstate.change": "billSubscriptions",
    "billing.billingstate.retry_one": "billSubscriptions",
    "billing.billingstate.retry_selected": "billSubscriptions",
    "billing.companyprofile.change": "updateCompany",
    "billing.coupon.activate": "activateCoupon",
    "billing.coupon.add": "createCoupon",
    "billing.coupon.apply_it": "createCouponAssociation",
    "billing.coupon.archive": "deleteCoupon",
    "billing.coupon.change": "updateCoupon",
    "billing.couponapplication.add": "createCouponAssociation",
    "billing.couponapplication.change": "getCouponAssociation",
    "billing.couponapplication.end_it": "deleteCouponAssociation",
    "billing.creditnote.change": "getCreditNote",
    "billing.creditnote.email_one": ("createEmail", "previewEmail"),
    "billing.creditnote.finalize_one": "processCreditNote",
    "billing.creditnote.pdf_one": "getCreditNotePdf",
    "billing.creditnote.xml_one": "getElectronicCreditNote",
    "billing.creditnote.refund_one": "refundCreditNote",
    "billing.creditnote.void_one": "voidCreditNote",
    "billing.email.attachment": ("getInvoicePdf", "getCreditNotePdf", "getCustomerStatement"),
    "billing.email.handle_one": "handleEmail",
    "billing.email.send_again_one": "resendEmail",
    "billing.emailtemplate.change": "updateEmailTemplate",
    "billing.emailtemplate.reset_one": "resetEmailTemplate",
    "billing.emailtemplate.send_test": "testEmailTemplate",
    "billing.invoice.change": "updateInvoice",
    "billing.invoice.credit_one": "createCreditNote",
    "billing.invoice.delete_draft_one": "deleteInvoice",
    "billing.invoice.edit_one": ("updateInvoice", "executeInvoiceModify"),
    "billing.invoice.email_one": ("createEmail", "previewEmail"),
    "billing.invoice.email_selected": ("createEmail", "previewEmail"),
    "billing.invoice.finalize_one": "finalizeInvoice",
    "billing.invoice.finalize_selected": "finalizeInvoices",
    "billing.invoice.hold_one": "holdInvoice",
    "billing.invoice.new_one_off": "createInvoice",
    "billing.invoice.pause_reminders_one": "createReminderPause",
    "billing.invoice.settle_one": "settleInvoiceDifference",
    "billing.invoice.pay_one": ("createPayment", "updateInvoicePaymentStatus", "payJointInvoice"),
    "billing.invoice.pdf_one": "getInvoicePdf",
    "billing.invoice.xml_one": "getElectronicInvoice",
    "billing.invoice.pdf_selected": "getInvoicePdf",
    "billing.invoice.recompute_one": "recalculateInvoiceV2",
    "billing.invoice.reissue_one": "reissueInvoice",
    "billing.invoice.release_one": "releaseInvoice",
    "billing.invoice.void_one": "voidInvoice",
    "billing.lateadjustment.approve_one": "approveLateAdjustments",
    "billing.lateadjustment.approve_selected": "approveLateAdjustments",
    "billing.lateadjustment.change": "getLateAdjustment",
    "billing.lateadjustment.ignore_selected": "waiveLateAdjustments",
    "billing.lateadjustment.reopen_one": "reopenLateAdjustments",
    "billing.lateadjustment.take_up_selected": "reopenLateAdjustments",
    "billing.lateadjustment.waive_one": "waiveLateAdjustments",
    "billing.latepolicy.change": "updateLatePolicy",
    "billing.numberseries.add": "createNumberSeries",
    "billing.numberseries.change": "updateNumberSeries",
    "billing.numberseries.make_default": "makeNumberSeriesDefault",
    "billing.payment.apply_rest": "applyPayment",
    "billing.payment.email_one": ("createEmail", "previewEmail"),
    "billing.payment.credit_rest": "creditPayment",
    "billing.payment.refund_rest": "refundPayment",
    "billing.payment.reverse_one": "reversePayment",
    "billing.reminder.handle_one": "handleReminder",
    "billing.reminderpause.end_one": "endReminderPause",
    "billing.reminderschedule.add": "createReminderSchedule",
    "billing.reminderschedule.change": "updateReminderSchedule",
    "billing.reminderschedule.delete": "deleteReminderSchedule",
    "billing.reminderschedule.make_default_one": "updateReminderSchedule",
    "billing.simulation.cancel": "cancelSimulation",
    "billing.simulation.start": "startSimulation",
    "billing.taxrate.activate": "activateTaxRate",
    "billing.taxrate.add": ("createTaxRate", "createTaxAssociation"),
    "billing.taxrate.archive": "deleteTaxRate",
    "billing.taxrate.change": ("updateTaxRate", "updateTaxAssociation", "deleteTaxAssociation"),
    "billing.wallet.add": "createWallet",
    "billing.wallet.change": "updateWallet",
    "billing.wallet.close": "terminateWallet",
    "billing.wallet.grant_into": "topUpWallet",
    "billing.wallet.take_out": "debitWallet",
    "catalog.eventnamealias.add": "mapEventName",
    "catalog.eventnamealias.change": "mapEventName",
    "catalog.eventnamealias.delete": "deleteEventNameAlias",
    "catalog.feature.activate": "activateFeature",
    "catalog.feature.add": "createFeature",
    "catalog.feature.archive": "deleteFeature",
    "catalog.feature.change": "updateFeature",
    "catalog.feature.delete": "deleteFeature",
    "catalog.feature.duplicate": "cloneFeature",
    "catalog.addon.activate": "activateAddon",
    "catalog.addon.add": "createAddon",
    "catalog.addon.archive": "deleteAddon",
    "catalog.addon.change": "updateAddon",
    "catalog.addon.new_version": "createAddonVersion",
    "catalog.plan.activate": "activatePlan",
    "catalog.plan.add": "createPlan",
    "catalog.plan.archive": "deletePlan",
    "catalog.plan.change": "updatePlan",
    "catalog.plan.new_version": "createPlanVersion",
    "catalog.planversion.add_price": "createPrice",
    "catalog.planversion.add_prices_by_value": ("createPricesBulk", "createEntitlement", "updatePrice"),
    "catalog.planversion.change": ("createEntitlement", "updateEntitlement", "deleteEntitlement", "updatePlan"),
    "catalog.planversion.new_version": "createPlanVersion",
    "catalog.planversion.simulate": "startSimulation",
    "catalog.planversion.publish_version": "publishPlan",
    "catalog.price.add": "createPrice",
    "catalog.price.change": "updatePrice",
    "catalog.price.delete": "deletePrice",
    "catalog.price.save_and_publish": ("updatePrice", "publishPlan"),
    "config.alarm.acknowledge_one": "acknowledgeAlarm",
    "config.approval.approve_one": "approveApproval",
    "config.approval.reject_one": "rejectApproval",
    "config.approval.withdraw_one": "withdrawApproval",
    "config.approvalrule.change": "updateApprovalRule",
    "config.webhookdelivery.resend": "resendWebhookDelivery",
    "config.webhookendpoint.add": "createWebhook",
    "config.webhookendpoint.all_deliveries": "listWebhookDeliveries",
    "config.webhookendpoint.change": "updateWebhook",
    "config.webhookendpoint.remove": "deleteWebhook",
    "config.webhookendpoint.rotate": "rotateWebhookSecret",
    "config.webhookendpoint.send_test_message": "testWebhook",
    "customers.customer.activate": "activateCustomer",
    "customers.customer.add": "createCustomer",
    "customers.customer.apply_discount": "createCouponAssociation",
    "customers.customer.archive": "deleteCustomer",
    "customers.customer.change": "updateCustomer",
    "customers.customer.edit": "updateCustomer",
    "customers.customer.grant_credit": "topUpWallet",
    "customers.customer.erase_personal_data": "eraseCustomerPersonalData",
    "customers.customer.open_personal_data": "getCustomerErasure",
    "customers.customer.open_months": "getCustomerMonthComparison",
    "customers.customer.open_emails": "listEmails",
    "customers.customer.choose_reminders": "setCustomerReminderSchedule",
    "customers.customer.pause_all_reminders": "createReminderPause",
    "customers.customer.send_statement": ("createEmail", "previewEmail"),
    "customers.customer.open_statement": "getCustomerStatement",
    "customers.customer.subscribe": "createSubscription",
    "customers.customer.record_receipt": "createPayment",
    "customers.customer.write_one_off": "createInvoice",
    "customers.customeralias.add": "mapExternalId",
    "customers.customeralias.change": "mapExternalId",
    "customers.subscription.add": "createSubscription",
    "customers.subscription.cancel": "cancelSubscription",
    "customers.subscription.change": "updateSubscription",
    "customers.subscription.agree_commitment": "createSubscriptionCommitment",
    "customers.subscription.agree_phases": ("createSubscription", "updateSubscriptionLineItem"),
    "customers.subscription.add_addon": "addSubscriptionAddon",
    "customers.subscription.remove_addon": "removeSubscriptionAddon",
    "customers.subscription.agree_terms": "updateSubscriptionLineItem",
    "customers.subscription.change_plan": "executeSubscriptionChange",
    "customers.subscription.end_commitment": "endSubscriptionCommitment",
    "customers.subscription.pause": "pauseSubscription",
    "customers.subscription.resume": "resumeSubscription",
    "customers.subscription.withdraw": "cancelSubscriptionSchedule",
    "events.apikey.add": "createApiKey",
    "events.apikey.change": "updateApiKey",
    "events.apikey.revoke_key": "deleteApiKey",
    "events.apikey.rotate_key": "rotateApiKey",
    "events.apikey.take_over": STAFF,
    "events.event.debug_event": "getEvent",
    "events.event.replay_event": "applyFix",
    "events.event.void": "voidEvents",
    "events.duplicateevent.dismiss_one": "dismissConflicts",
    "events.duplicateevent.dismiss_selected": "dismissConflicts",
    "events.problem.dismiss_selected": "dismissProblems",
    "events.problem.replay_selected": "replayProblems",
    "events.usagealert.add": "createUsageAlert",
    "events.usagealert.change": "updateUsageAlert",
    "events.usagealert.delete": "deleteUsageAlert",
    "page.app_list": NAVIGATION,
    "page.index": NAVIGATION,
    "page.search": NAVIGATION,
    "page.system": "getSystem",
    "page.auth_user_password_change": STAFF,
    "page.billing_aging": "getReceivablesAging",
    "page.billing_change_effect": "previewSubscriptionChange",
    "page.billing_compare_invoice": "getInvoiceComparison",
    "page.billing_credit_effect": "createCreditNote",
    "page.billing_credit_invoice": "createCreditNote",
    "page.billing_credit_note_pdf": "getCreditNotePdf",
    "page.billing_edit_one_off": "updateInvoice",
    "page.billing_home_money": NAVIGATION,
    "page.billing_customer_months": "getCustomerMonthComparison",
    "page.billing_line_event_list": "getInvoiceLineEvents",
    "page.billing_line_events": "getInvoiceLineEvents",
    "page.billing_line_proof": ("getInvoiceLineProof", "getInvoiceLineExplanation"),
    "page.billing_commitment": "listSubscriptionCommitments",
    "page.billing_deal": ("getSubscription", "getSubscriptionEntitlements"),
    "page.billing_draft_effect": "updateInvoice",
    "page.billing_edit_draft": "updateInvoice",
    "page.billing_month_close": "closeMonth",
    "page.billing_month_end": "getMonthEnd",
    "page.billing_month_end_at_risk": "getProblemsAtRisk",
    "page.billing_month_end_progress": "getMonthEnd",
    "page.billing_month_end_work_out": "calculateMonthEnd",
    "page.billing_month_reopen": "reopenMonth",
    "page.billing_new_one_off": "createInvoice",
    "page.billing_one_off_effect": "createInvoice",
    "page.billing_receipt": "createPayment",
    "page.billing_personal_data": "getCustomerErasure",
    "page.billing_personal_data_file": "exportCustomerPersonalData",
    "page.billing_phases": ("createSubscription", "updateSubscriptionLineItem"),
    "page.billing_phases_effect": "previewSubscriptionModify",
    "page.billing_planned_reminders": "listPlannedReminders",
    "page.billing_plan_calculation": PLAN_PAGES,
    "page.billing_plan_setup": ("createPlan", "createPrice", "createEntitlement", "publishPlan"),
    "page.billing_price_staircase": PLAN_PAGES,
    "page.billing_proof": ("getProof", "listProofDifferences"),
    "page.billing_proof_file": "getSignedProof",
    "page.billing_proof_progress": "getProof",
    "page.billing_proofs": "listProofs",
    "page.billing_simulation_panel": ("getSimulation", "listSimulationResults"),
    "page.billing_start_proofs": "startProofs",
    "page.billing_reconciliation": "getReconciliation",
    "page.billing_reconciliation_events": "listReconciliationEvents",
    "page.billing_review": ("getDraftSummary", "queryInvoice", "holdInvoices"),
    "page.billing_review_result": "finalizeInvoices",
    "page.billing_run_csv": "listBillingRunFindings",
    "page.billing_run_progress": "getBillingRun",
    "page.billing_run_retry": "billSubscriptions",
    "page.billing_statement": "getCustomerStatement",
    "page.billing_subscription_upcoming": "getInvoicePreview",
    "page.billing_terms": ("updateSubscriptionLineItem", "createSubscriptionLineItem", "executeSubscriptionModify"),
    "page.billing_terms_effect": "previewSubscriptionModify",
    "page.billing_upcoming": "listUpcomingInvoices",
    "page.billing_usage_by_day": ("getInvoicePreview", "getUsageAnalytics"),
    "page.billing_usage_staircase": "getInvoiceLineExplanation",
    "page.customers_customer_edit_form": "updateCustomer",
    "page.customers_customer_import": IMPORT,
    "page.customers_customer_process_import": IMPORT,
    "page.events_charts": "getEventsMonitoring",
    "page.events_debugger": ("getEvent", "queryEvents"),
    "page.events_debugger_feed": "queryEvents",
    "page.events_debugger_fix": ("previewFix", "applyFix"),
    "page.events_debugger_fix_effect": "previewFix",
    "page.events_dry_run": "dryRunEvent",
    "page.events_event_payload": "getEventById",
    "page.events_mendingrun_progress": "getFixRun",
    "page.events_duplicateevent_dismiss_cause": "dismissConflicts",
    "page.events_problem_at_risk": "getProblemsAtRisk",
    "page.events_problem_causes": "listProblemCauses",
    "page.events_problem_dismiss_cause": "dismissProblems",
    "page.events_query": ("getUsageByMeter", "getUsageAnalytics"),
    "page.events_search": "queryEvents",
    "page.events_unbilled": "listUnbilledUsage",
}


def find_cover(action: str) -> str | tuple[str, ...] | None:
    """Return what covers an action: its own entry, that of its table or app, or the reason for exports."""
    if action.endswith("_export"):
        return EXPORTS
    app, _, rest = action.partition(".")
    table = f"{app}.{rest.partition('.')[0]}"
    return next((COVERED[name] for name in (action, table, app) if name in COVERED), None)


@pytest.fixture
def actions(staff_user) -> list[str]:
    request = RequestFactory().get("/")
    request.user = staff_user
    return list_admin_actions(request)


def test_every_action_form_and_page_of_the_admin_has_an_endpoint_or_a_reason(actions):
    assert [action for action in actions if find_cover(action) is None] == []


def test_the_named_operations_exist_and_the_reasons_are_documented(actions):
    operations = {operation["operationId"] for _, _, operation in list_operations()}
    reasons = set(re.findall(r"^\| ([^|]+) \| [A-Z][^|]+\. \|$", TEXT, re.MULTILINE))
    named = {
        name
        for action in actions
        for cover in [find_cover(action)]
        if cover is not None
        for name in ((cover,) if isinstance(cover, str) else cover)
    }
    assert named - operations - reasons == set()


def test_no_entry_is_left_of_a_removed_action(actions):
    known = {part for action in actions for part in (action, action.rpartition(".")[0], action.partition(".")[0])}
    assert COVERED.keys() - known == set()
