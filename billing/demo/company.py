"""The demo company's profile, which its invoices show."""

from django.contrib.auth.models import User

from billing.demo.timeline import COMPANY
from billing.models import CompanyProfile
from billing.models.company import ONLY
from config.audit import recorded

PROFILE = {
    "name": f"{COMPANY} GmbH",
    "logo_text": COMPANY,
    "address_line1": "Lindenweg 12",
    "address_postal_code": "10999",
    "address_city": "Berlin",
    "address_country": "DE",
    "tax_id": "VAT DE123456788",
    "contact": "Accounts receivable",
    "phone": "+49 30 23125 100",
    "email": "billing@larkspur.example",
    "website": "larkspur.example",
    "bank_details": "Example Bank\nIBAN DE36 0000 0000 0000 0000 00\nBIC EXAMPLEXXX",
    "iban": "DE36000000000000000000",
    "peppol_id": "9930:DE123456788",
    "payment_terms": "Please state the invoice number in your transfer.",
    "footer": f"{COMPANY} GmbH · demo data",
    "emails_invoices": True,
}


def make_company(*, by: User) -> CompanyProfile:
    """Return the company's profile, creating it if it is missing. An existing profile isn't changed."""
    with recorded(by=by):
        return CompanyProfile.objects.get_or_create(pk=ONLY, defaults=PROFILE)[0]
