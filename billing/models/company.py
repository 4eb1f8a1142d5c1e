"""The company profile that invoices, credit notes and statements print."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import Q
from stdnum import iban

from config.audit import recorded
from config.db import AmountField, Stamped
from customers.validators import validate_electronic_address, validate_timezone

ONLY = 1
LEAST_YEARS, DEFAULT_YEARS, MOST_YEARS = 1, 10, 100  # for which documents are kept


def validate_iban(value: str) -> None:
    """Validate an IBAN with its check digits. It has no spaces."""
    if not iban.is_valid(value) or value != iban.compact(value):
        raise ValidationError("This isn't a valid IBAN. Enter it without spaces, for example DE02120300000000202051.")


class CompanyProfile(Stamped):
    """The seller on invoices. One row; an invoice copies it when it is finalized, so later edits don't reach it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    name = models.CharField("company name", max_length=255)
    logo_text = models.CharField(
        max_length=64, blank=True, help_text="Printed large at the top. Leave blank to use the company name."
    )
    address_line1 = models.CharField("address, line 1", max_length=255, blank=True)
    address_line2 = models.CharField("address, line 2", max_length=255, blank=True)
    address_city = models.CharField("city", max_length=255, blank=True)
    address_state = models.CharField("state or region", max_length=255, blank=True)
    address_postal_code = models.CharField("postal code", max_length=32, blank=True)
    address_country = models.CharField(
        "country",
        max_length=2,
        blank=True,
        validators=[RegexValidator(r"^[A-Z]{2}\Z", "Enter a two-letter country code in capitals, for example DE.")],
        help_text="ISO 3166 country code, for example DE. Documents for US, CA and MX use Letter paper, all others A4.",
    )
    tax_id = models.CharField(
        "tax ID", max_length=64, blank=True, help_text="Include the type, for example VAT DE123456789."
    )
    registration = models.CharField(
        max_length=255, blank=True, help_text="Company register and number, where required by law."
    )
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=64, blank=True)
    website = models.CharField(max_length=255, blank=True)
    contact = models.CharField(
        "contact person",
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="Person or department for questions about invoices. XRechnung requires it.",
    )
    iban = models.CharField(
        "IBAN",
        max_length=34,
        blank=True,
        default="",
        db_default="",
        validators=[validate_iban],
        help_text="The account that electronic invoices ask customers to pay to.",
    )
    bic = models.CharField(
        "BIC",
        max_length=11,
        blank=True,
        default="",
        db_default="",
        validators=[RegexValidator(r"^[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?\Z", "Enter a BIC of 8 or 11 characters.")],
    )
    peppol_id = models.CharField(
        "electronic address",
        max_length=64,
        blank=True,
        default="",
        db_default="",
        validators=[validate_electronic_address],
        help_text="Your Peppol ID with its scheme, for example 9930:DE136695976. Leave blank to use the email address, "
        "which Peppol doesn't accept.",
    )
    bank_details = models.TextField(
        blank=True, max_length=1000, help_text="Where customers pay: bank, IBAN or account number, BIC."
    )
    payment_terms = models.TextField(
        blank=True, max_length=1000, help_text="For example the interest charged on late payments."
    )
    timezone = models.CharField(
        "time zone",
        max_length=64,
        default="UTC",
        db_default="UTC",
        validators=[validate_timezone],
        help_text="Months of the reconciliation begin and end in it. Month ends are counted in UTC.",
    )
    footer = models.CharField(max_length=255, blank=True, help_text="Printed at the bottom of every page.")
    explains_differences = models.BooleanField(
        "explain differences",
        default=False,
        db_default=False,
        help_text="Print why an invoice differs from the last one, by cause. Invoices that are finalized already keep "
        "their documents.",
    )
    retention_years = models.PositiveSmallIntegerField(
        "documents are kept for",
        default=DEFAULT_YEARS,
        db_default=DEFAULT_YEARS,
        validators=[MinValueValidator(LEAST_YEARS), MaxValueValidator(MOST_YEARS)],
        help_text="Years after the end of the year of an invoice, credit note or payment in which its personal data is "
        "kept although the customer's was erased, because tax law requires it.",
    )
    site_url = models.URLField(
        "address of this site",
        blank=True,
        help_text="The address where staff open Countinghouse. Documents link to it. Leave blank for no link.",
    )

    write_off_limit = AmountField(
        "largest write-off",
        default=Decimal(0),
        db_default=0,
        validators=[MinValueValidator(0)],
        help_text="The most that can be written off of one invoice, in its currency, when a payment differs from the "
        "amount due. 0 allows none.",
    )
    write_off_account = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="The account of the general ledger."
    )
    bank_charge_limit = AmountField(
        "largest bank charge",
        default=Decimal(0),
        db_default=0,
        validators=[MinValueValidator(0)],
        help_text="The most that banks may have deducted of one invoice's payment, in its currency. 0 allows none.",
    )
    bank_charge_account = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="The account of the general ledger."
    )
    emails_invoices = models.BooleanField(
        "email invoices",
        default=False,
        db_default=False,
        help_text="Send each invoice to its customer as soon as it is finalized.",
    )
    emails_credit_notes = models.BooleanField(
        "email credit notes",
        default=False,
        db_default=False,
        help_text="Send each credit note to its customer as soon as it is finalized.",
    )
    emails_receipts = models.BooleanField(
        "email receipts",
        default=False,
        db_default=False,
        help_text="Confirm each payment to the customer as soon as it is recorded.",
    )
    simulation_days = models.PositiveSmallIntegerField(
        "publishing needs a simulation",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text="Not older than so many days, if the plan has live subscriptions. Leave blank to ask for none.",
    )
    most_customer_percent = models.DecimalField(
        "largest change for a customer (%)",
        max_digits=7,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Above it, a second person approves publishing. Leave blank for no limit.",
    )
    most_total_percent = models.DecimalField(
        "largest change of the total (%)",
        max_digits=7,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="In each currency. Above it, a second person approves publishing. Leave blank for no limit.",
    )
    most_pay_more = models.PositiveIntegerField(
        "most customers who pay more",
        null=True,
        blank=True,
        help_text="Above it, a second person approves publishing. Leave blank for no limit.",
    )

    class Meta:
        verbose_name_plural = "company profile"
        constraints: ClassVar = [models.CheckConstraint(name="company_profile_only_one", condition=Q(id=ONLY))]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @classmethod
    def current(cls) -> "CompanyProfile":
        """Return the saved profile, or an unsaved one with the configured company name."""
        return cls.objects.filter(pk=ONLY).first() or cls(pk=ONLY, name=settings.COMPANY_NAME)


COPIED = (
    "name",
    "logo_text",
    "address_line1",
    "address_line2",
    "address_city",
    "address_state",
    "address_postal_code",
    "address_country",
    "tax_id",
    "registration",
    "email",
    "phone",
    "website",
    "contact",
    "iban",
    "bic",
    "peppol_id",
    "bank_details",
    "payment_terms",
    "footer",
)

GUARD = ("simulation_days", "most_customer_percent", "most_total_percent", "most_pay_more")  # null if not limited


def seller() -> dict[str, Any]:
    """Return the profile's current values for a document, without empty fields."""
    profile = CompanyProfile.current()
    return {field: value for field in (*COPIED, "explains_differences") if (value := getattr(profile, field))}


def save_profile(values: Mapping[str, Any], *, by: User | None) -> CompanyProfile:
    """Change these fields of the profile. Finalized documents keep their copies. Raises `ValidationError`."""
    with transaction.atomic(), recorded(by=by):
        profile = CompanyProfile.objects.select_for_update().filter(pk=ONLY).first() or CompanyProfile.current()
        for name, value in values.items():
            setattr(profile, name, "" if value is None and name not in GUARD else value)
        profile.full_clean()
        profile.save()
    return profile


auditlog.register(CompanyProfile, exclude_fields=["updated_at"])
