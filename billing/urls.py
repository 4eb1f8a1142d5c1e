"""The /v1 doors of the billing app, with those of customers and events that tell money."""

from django.urls import path

from billing import (
    api,
    api_changes,
    api_documents,
    api_late,
    api_runs,
    api_settling,
    api_statements,
    api_usage,
    urls_adjusting,
)

urlpatterns = [
    path("invoices", api.Invoices.as_view()),
    path("invoices/search", api.InvoiceSearch.as_view()),
    path("invoices/preview", api.InvoicePreview.as_view()),
    path("invoices/<str:invoice_id>", api.OneInvoice.as_view()),
    path("invoices/<str:invoice_id>/finalize", api.InvoiceFinalize.as_view()),
    path("invoices/<str:invoice_id>/void", api.InvoiceVoid.as_view()),
    path("invoices/<str:invoice_id>/payment", api.InvoicePayment.as_view()),
    path("invoices/<str:invoice_id>/pdf", api_documents.InvoicePdf.as_view()),
    path("invoices/<str:invoice_id>/lines/<str:line_id>/events", api_documents.LineEvents.as_view()),
    path("documents/<str:token>", api_documents.SharedDocument.as_view(), name="shared_document"),
    path("customers/<str:customer_id>/statement", api_statements.CustomerStatement.as_view()),
    *urls_adjusting.urlpatterns,
    path("payments", api_settling.Payments.as_view()),
    path("payments/<str:payment_id>", api_settling.OnePayment.as_view()),
    path("payments/<str:payment_id>/reverse", api_settling.PaymentReversal.as_view()),
    path("creditnotes", api_settling.CreditNotes.as_view()),
    path("creditnotes/search", api_settling.CreditNoteSearch.as_view()),
    path("creditnotes/<str:credit_note_id>", api_settling.OneCreditNote.as_view()),
    path("creditnotes/<str:credit_note_id>/finalize", api_settling.CreditNoteFinalize.as_view()),
    path("creditnotes/<str:credit_note_id>/void", api_settling.CreditNoteVoid.as_view()),
    path("late-adjustments", api_late.LateAdjustments.as_view()),
    path("late-adjustments/<str:late_adjustment_id>", api_late.OneLateAdjustment.as_view()),
    path("runs", api_runs.Runs.as_view()),
    path("runs/<str:run_id>", api_runs.OneRun.as_view()),
    path("runs/<str:run_id>/findings", api_runs.RunFindings.as_view()),
    path("customers/usage", api_usage.CustomerUsage.as_view()),
    path("events/analytics", api_usage.UsageAnalytics.as_view()),
    path("subscriptions/usage", api_usage.SubscriptionUsage.as_view()),
    path("subscriptions/<str:subscription_id>/change/preview", api_changes.ChangePreviewing.as_view()),
    path("subscriptions/<str:subscription_id>/change/execute", api_changes.ChangeExecution.as_view()),
]
