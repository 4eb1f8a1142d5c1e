"""URLs of billing's admin pages that aren't a list or form of a table."""

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.urls import URLPattern, path

from billing.admin.pages import (
    aging,
    credit,
    invoice,
    month_end,
    one_off,
    plan_changes,
    review,
    run,
    statement,
    upcoming,
)
from billing.models import BillingRun, Invoice
from config.office.pages import AdminView

# Routes below a model's list, each with its view and its URL name. Who may see the page depends on the model's admin
# unless the view has a permission of its own.
INVOICE_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("aging/", aging.AgingPage, "billing_aging"),
    ("change-effect/<slug:change>/<int:subscription_id>/", plan_changes.ChangeEffect, "billing_change_effect"),
    ("credit-note/<int:note_id>/pdf/", invoice.CreditNotePdf, "billing_credit_note_pdf"),
    ("line/<int:line_id>/events.csv", invoice.LineEvents, "billing_line_events"),
    ("line/<int:line_id>/proof/", invoice.LineProof, "billing_line_proof"),
    ("month-end/", month_end.MonthEndPage, "billing_month_end"),
    ("month-end/at-risk/", month_end.AtRiskAmount, "billing_month_end_at_risk"),
    ("month-end/progress/", month_end.ProgressPanel, "billing_month_end_progress"),
    ("month-end/work-out/", month_end.Recalculate, "billing_month_end_work_out"),
    ("one-off/", one_off.NewOneOff, "billing_new_one_off"),
    ("one-off/effect/", one_off.OneOffEffect, "billing_one_off_effect"),
    ("review/", review.ReviewPage, "billing_review"),
    ("review/result/", review.ReviewResult, "billing_review_result"),
    ("statement/<int:customer_id>/", statement.StatementPage, "billing_statement"),
    ("upcoming/", upcoming.UpcomingList, "billing_upcoming"),
    ("upcoming/<int:subscription_id>/", upcoming.UpcomingPage, "billing_subscription_upcoming"),
    ("<int:invoice_id>/credit/", credit.NewCreditNote, "billing_credit_invoice"),
    ("<int:invoice_id>/credit/effect/", credit.CreditEffect, "billing_credit_effect"),
    ("<int:invoice_id>/items/", one_off.EditOneOff, "billing_edit_one_off"),
]
RUN_PAGES: list[tuple[str, type[AdminView], str]] = [
    ("<int:run_id>/csv/", run.FindingsFile, "billing_run_csv"),
    ("<int:run_id>/progress/", run.ProgressPanel, "billing_run_progress"),
    ("<int:run_id>/retry/", run.RetryFailed, "billing_run_retry"),
]


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the pages' URL patterns. A site's extra URLs come before its models' lists, which match any path."""
    return [*_urls_below(Invoice, INVOICE_PAGES, site), *_urls_below(BillingRun, RUN_PAGES, site)]


def _urls_below(model: type[Model], pages: list[tuple[str, type[AdminView], str]], site: AdminSite) -> list[URLPattern]:
    model_admin = site.get_model_admin(model)
    base = f"{model._meta.app_label}/{model._meta.model_name}"
    return [path(f"{base}/{route}", view.for_site(site, model_admin), name=name) for route, view, name in pages]
