"""The demo company itself, as its invoices show it."""

from django.contrib.auth.models import User

from billing.demo.story import COMPANY
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
    "tax_id": "VAT DE000000000",
    "email": "billing@larkspur.example",
    "website": "larkspur.example",
    "bank_details": "Example Bank\nIBAN DE00 0000 0000 0000 0000 00\nBIC EXAMPLEXXX",
    "payment_terms": "Please name the invoice's number in your transfer.",
    "footer": f"{COMPANY} GmbH · made for a demonstration",
}


def make_company(*, by: User) -> CompanyProfile:
    """Fill in the company's profile unless somebody has; return it. A second call changes nothing."""
    with recorded(by=by):
        return CompanyProfile.objects.get_or_create(pk=ONLY, defaults=PROFILE)[0]
