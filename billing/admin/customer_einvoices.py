"""What electronic invoices lack, on the pages of customers and drafts, with links to where it is entered."""

from django.http import HttpRequest
from django.urls import reverse

from billing.einvoices.problems import Place, Problem
from billing.lifecycle.einvoices import list_customer_problems, list_draft_problems
from billing.models import Invoice
from billing.models.company import ONLY
from customers.admin import add_customer_notice
from customers.models import Customer


def url_of(problem: Problem, customer: Customer) -> str:
    """Return the URL of the form where the missing value is entered; "" if it is the invoice itself."""
    urls = {
        Place.COMPANY: reverse("admin:billing_companyprofile_change", args=[ONLY]),
        Place.CUSTOMER: reverse("admin:customers_customer_edit_form", args=[customer.pk]),
    }
    return urls.get(problem.place, "")


def list_links(draft: Invoice) -> list[tuple[str, str]]:
    """List what a draft lacks for its electronic invoice: each text with its link."""
    return [(problem.text, url_of(problem, draft.customer)) for problem in list_draft_problems(draft)]


def report_missing(request: HttpRequest, customer: Customer) -> tuple[str, str] | None:
    """Report what the customer's electronic invoices lack. Drafts can't be finalized without it."""
    problems = list_customer_problems(customer)
    if not problems:
        return None
    texts = " ".join(problem.text for problem in problems)
    text = f"Invoices of this customer can't be finalized: {customer.get_einvoice_format_display()} needs more. {texts}"
    return text, url_of(problems[-1], customer)


add_customer_notice(report_missing)
