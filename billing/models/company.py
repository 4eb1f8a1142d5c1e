"""The company that sends the invoices: what its documents say about it."""

from typing import Any, ClassVar

from auditlog.registry import auditlog
from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from config.db import Stamped

ONLY = 1


class CompanyProfile(Stamped):
    """The seller on invoices. One row; an invoice copies it when it is finalized, so later edits don't reach it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    name = models.CharField("company name", max_length=255)
    logo_text = models.CharField(max_length=64, blank=True, help_text="In large letters at the top. Empty: the name.")
    address_line1 = models.CharField("address, line 1", max_length=255, blank=True)
    address_line2 = models.CharField("address, line 2", max_length=255, blank=True)
    address_city = models.CharField("city", max_length=255, blank=True)
    address_state = models.CharField("state or region", max_length=255, blank=True)
    address_postal_code = models.CharField("postal code", max_length=32, blank=True)
    address_country = models.CharField(
        "country",
        max_length=2,
        blank=True,
        validators=[RegexValidator(r"^[A-Z]{2}\Z", "Write the country as two capitals, for example DE.")],
        help_text="Two capitals, ISO 3166, for example DE. US, CA and MX print on letter paper, all others on A4.",
    )
    tax_id = models.CharField(max_length=64, blank=True, help_text="With its kind, for example VAT DE123456789.")
    registration = models.CharField(max_length=255, blank=True, help_text="Register and number, where the law asks.")
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=64, blank=True)
    website = models.CharField(max_length=255, blank=True)
    bank_details = models.TextField(blank=True, max_length=1000, help_text="Where to pay: bank, IBAN or account, BIC.")
    payment_terms = models.TextField(blank=True, max_length=1000, help_text="What is said about paying, for example "
                                     "the interest on late payment.")  # fmt: skip
    footer = models.CharField(max_length=255, blank=True, help_text="At the foot of every page.")
    site_url = models.URLField(
        "address of this site",
        blank=True,
        help_text="Where staff open Countinghouse, for a link on documents. Empty: documents have none.",
    )

    class Meta:
        verbose_name_plural = "company profile"
        constraints: ClassVar = [models.CheckConstraint(name="company_profile_only_one", condition=Q(id=ONLY))]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def current(cls) -> "CompanyProfile":
        """Return the company's profile; one with only the configured name while staff have saved none."""
        return cls.objects.filter(pk=ONLY).first() or cls(pk=ONLY, name=settings.COMPANY_NAME)


COPIED = (
    "name", "logo_text", "address_line1", "address_line2", "address_city", "address_state", "address_postal_code",
    "address_country", "tax_id", "registration", "email", "phone", "website", "bank_details", "payment_terms", "footer",
)  # fmt: skip


def seller() -> dict[str, Any]:
    """Copy what a document says about the company as of now. Empty fields are left out."""
    profile = CompanyProfile.current()
    return {field: value for field in COPIED if (value := getattr(profile, field))}


auditlog.register(CompanyProfile, exclude_fields=["updated_at"])
