"""What electronic invoices lack, by the company and the customer as they are today."""

from billing.einvoices.problems import Problem, list_party_problems, list_problems
from billing.lifecycle.finalize import billed_to
from billing.models import Invoice
from billing.models.company import seller
from customers.kinds import EInvoiceFormat
from customers.models import Customer


def list_draft_problems(draft: Invoice) -> list[Problem]:
    """List what a draft lacks to be finalized. Nothing for a customer that gets PDFs only."""
    return list_problems(draft, seller=seller(), buyer=billed_to(draft.customer)) if draft.is_draft else []


def list_customer_problems(customer: Customer) -> list[Problem]:
    """List what the company and the customer lack for the customer's format, whatever an invoice is about."""
    if not customer.einvoice_format:
        return []
    wanted = EInvoiceFormat(customer.einvoice_format)
    return list_party_problems(wanted, seller=seller(), buyer=billed_to(customer))
