"""URLs of billing's admin pages that aren't a list or form of a table."""

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.urls import URLPattern, path

from billing.admin import home_money
from billing.admin.pages import (
    aging,
    bank,
    commitment,
    comparison,
    credit,
    invoice,
    line_events,
    month_end,
    one_off,
    personal_data,
    phases,
    plan_changes,
    plan_setup,
    planned_reminders,
    proofs,
    receipt,
    reconciliation,
    reconciliation_events,
    review,
    run,
    simulation,
    staircase,
    statement,
    terms,
    upcoming,
    usage_by_day,
)
from billing.models import BillingRun, Invoice, Reminder, Simulation
from catalog.models import Plan
from config.office.pages import AdminView
from customers.models import Customer, Subscription

# Routes below a model's list, each with its view and its URL name. Who may see the page depends on the model's admin
# unless the view has a permission of its own.
INVOICE_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("aging/", aging.AgingPage, "billing_aging"),
    ("bank/", bank.BankPage, "billing_bank"),
    ("bank/import/", bank.BankImportPage, "billing_bank_import"),
    ("bank/<int:bank_entry_id>/", bank.BankEntryPage, "billing_bank_entry"),
    ("change-effect/<slug:change>/<int:subscription_id>/", plan_changes.ChangeEffect, "billing_change_effect"),
    ("credit-note/<int:note_id>/pdf/", invoice.CreditNotePdf, "billing_credit_note_pdf"),
    ("home/", home_money.MoneyPanel, "billing_home_money"),
    ("line/<int:line_id>/events/", line_events.LineEventsPage, "billing_line_event_list"),
    ("line/<int:line_id>/events.csv", line_events.LineEventsFile, "billing_line_events"),
    ("line/<int:line_id>/proof/", invoice.LineProof, "billing_line_proof"),
    ("month-end/", month_end.MonthEndPage, "billing_month_end"),
    ("month-end/close/", month_end.CloseMonth, "billing_month_close"),
    ("month-end/reopen/", month_end.ReopenMonth, "billing_month_reopen"),
    ("month-end/at-risk/", month_end.AtRiskAmount, "billing_month_end_at_risk"),
    ("month-end/progress/", month_end.ProgressPanel, "billing_month_end_progress"),
    ("month-end/work-out/", month_end.Recalculate, "billing_month_end_work_out"),
    ("one-off/", one_off.NewOneOff, "billing_new_one_off"),
    ("one-off/effect/", one_off.OneOffEffect, "billing_one_off_effect"),
    ("proofs/", proofs.ProofsPage, "billing_proofs"),
    ("proofs/start/", proofs.StartProofs, "billing_start_proofs"),
    ("proofs/<slug:public_id>/", proofs.ProofPage, "billing_proof"),
    ("proofs/<slug:public_id>/progress/", proofs.ProofProgress, "billing_proof_progress"),
    ("proofs/<slug:public_id>/file/", proofs.SignedProof, "billing_proof_file"),
    ("reconciliation/", reconciliation.ReconciliationPage, "billing_reconciliation"),
    ("reconciliation/events/", reconciliation_events.ReconciliationEvents, "billing_reconciliation_events"),
    ("review/", review.ReviewPage, "billing_review"),
    ("review/result/", review.ReviewResult, "billing_review_result"),
    ("statement/<int:customer_id>/", statement.StatementPage, "billing_statement"),
    ("upcoming/", upcoming.UpcomingList, "billing_upcoming"),
    ("upcoming/<int:subscription_id>/", upcoming.UpcomingPage, "billing_subscription_upcoming"),
    ("usage-by-day/<int:subscription_id>/", usage_by_day.SubscriptionUsage, "billing_usage_by_day"),
    ("<int:invoice_id>/comparison/", comparison.InvoiceComparison, "billing_compare_invoice"),
    ("<int:invoice_id>/credit/", credit.NewCreditNote, "billing_credit_invoice"),
    ("<int:invoice_id>/credit/effect/", credit.CreditEffect, "billing_credit_effect"),
    ("<int:invoice_id>/items/", one_off.EditOneOff, "billing_edit_one_off"),
    ("<int:invoice_id>/draft/", one_off.EditDraft, "billing_edit_draft"),
    ("<int:invoice_id>/draft/effect/", one_off.DraftEffect, "billing_draft_effect"),
]
CUSTOMER_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("<int:customer_id>/months/", comparison.CustomerMonths, "billing_customer_months"),
    ("<int:customer_id>/payment/", receipt.ReceiptPage, "billing_receipt"),
    ("<int:customer_id>/personal-data/", personal_data.PersonalDataPage, "billing_personal_data"),
    ("<int:customer_id>/personal-data/export/", personal_data.PersonalDataFile, "billing_personal_data_file"),
]
SUBSCRIPTION_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("<int:subscription_id>/terms/", terms.TermsPage, "billing_terms"),
    ("<int:subscription_id>/terms/effect/", terms.TermsEffect, "billing_terms_effect"),
    ("<int:subscription_id>/phases/", phases.PhasesPage, "billing_phases"),
    ("<int:subscription_id>/phases/effect/", phases.PhasesEffect, "billing_phases_effect"),
    ("<int:subscription_id>/deal/", terms.DealPanel, "billing_deal"),
    ("<int:subscription_id>/commitment/", commitment.CommitmentPanel, "billing_commitment"),
]
REMINDER_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("planned/", planned_reminders.PlannedRemindersPage, "billing_planned_reminders"),
]
RUN_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("<int:run_id>/csv/", run.FindingsFile, "billing_run_csv"),
    ("<int:run_id>/progress/", run.ProgressPanel, "billing_run_progress"),
    ("<int:run_id>/retry/", run.RetryFailed, "billing_run_retry"),
]

SIMULATION_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("<int:simulation_id>/panel/", simulation.SimulationPanel, "billing_simulation_panel"),
]


PLAN_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("setup/", plan_setup.PlanSetup, "billing_plan_setup"),
    ("setup/calculation/", plan_setup.PlanCalculation, "billing_plan_calculation"),
    ("staircase/price/<int:price_id>/", staircase.PriceStaircase, "billing_price_staircase"),
    ("staircase/<int:subscription_id>/<int:feature_id>/", staircase.UsageStaircase, "billing_usage_staircase"),
]


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the pages' URL patterns. A site's extra URLs come before its models' lists, which match any path."""
    return [
        *_urls_below(Invoice, INVOICE_PAGES, site),
        *_urls_below(Customer, CUSTOMER_PAGES, site),
        *_urls_below(Subscription, SUBSCRIPTION_PAGES, site),
        *_urls_below(Reminder, REMINDER_PAGES, site),
        *_urls_below(BillingRun, RUN_PAGES, site),
        *_urls_below(Plan, PLAN_PAGES, site),
        *_urls_below(Simulation, SIMULATION_PAGES, site),
    ]


def _urls_below(model: type[Model], pages: list[tuple[str, type[AdminView], str]], site: AdminSite) -> list[URLPattern]:
    model_admin = site.get_model_admin(model)
    base = f"{model._meta.app_label}/{model._meta.model_name}"
    return [path(f"{base}/{route}", view.for_site(site, model_admin), name=name) for route, view, name in pages]
