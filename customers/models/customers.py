"""Customers, and the aliases for wrong external ids that senders use."""

from __future__ import annotations

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse

from config.db import CurrencyField, PublicIdField, Stamped, protect_unless_erasing
from customers.kinds import UNTAXED_CATEGORIES, EInvoiceFormat, TaxTreatment
from customers.validators import validate_electronic_address, validate_timezone

MOST_RECIPIENTS = 10


class CustomerState(models.TextChoices):
    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"


class CustomerQuerySet(models.QuerySet["Customer"]):
    def active(self) -> CustomerQuerySet:
        """Keep customers that aren't archived."""
        return self.filter(state=CustomerState.ACTIVE)


class Customer(Stamped):
    """A company or person to bill. Client systems know the customer by an external id that never changes."""

    public_id = PublicIdField("cust")
    external_id = models.CharField(
        "external customer ID",
        max_length=255,
        unique=True,
        help_text="The external_customer_id that your events carry. Case-sensitive. It can't be changed later.",
    )
    name = models.CharField(max_length=255)
    email = models.EmailField(blank=True)
    email_to = ArrayField(
        models.EmailField(),
        size=MOST_RECIPIENTS,
        default=list,
        db_default=[],
        blank=True,
        verbose_name="send emails to",
        help_text="Addresses for invoices and other emails, separated by commas. Leave blank to use the email above.",
    )
    email_cc = ArrayField(
        models.EmailField(),
        size=MOST_RECIPIENTS,
        default=list,
        db_default=[],
        blank=True,
        verbose_name="copies to",
        help_text="Addresses that get a copy, separated by commas.",
    )
    receives_email = models.BooleanField(
        "send emails",
        default=True,
        db_default=True,
        help_text="Turn off to send this customer no emails, neither automatically nor by hand.",
    )
    currency = CurrencyField(blank=True, help_text="For new subscriptions. Leave blank to use the company's currency.")
    timezone = models.CharField(
        "time zone",
        max_length=64,
        default="UTC",
        validators=[validate_timezone],
        help_text="Decides when billing days start and end.",
    )
    parent = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        verbose_name="paid by",
        help_text="The customer who gets and pays the invoices of this customer's subscriptions, such as a parent "
        "company. Its address, taxes, discounts and prepaid credit apply.",
    )
    state = models.CharField("status", max_length=16, choices=CustomerState, default=CustomerState.ACTIVE)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    erased_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the erasure of the customer's personal data began. The customer can't be changed after that.",
    )
    contact = models.CharField(max_length=255, blank=True)
    address_line1 = models.CharField("address, line 1", max_length=255, blank=True)
    address_line2 = models.CharField("address, line 2", max_length=255, blank=True)
    address_city = models.CharField("city", max_length=255, blank=True)
    address_state = models.CharField("state or region", max_length=255, blank=True)
    address_postal_code = models.CharField("postal code", max_length=32, blank=True)
    address_country = models.CharField(
        max_length=2, blank=True, help_text="The ISO 3166 code, two capital letters, for example DE."
    )
    tax_id = models.CharField("tax ID", max_length=64, blank=True)
    tax_treatment = models.CharField(max_length=16, choices=TaxTreatment.choices, default=TaxTreatment.TAXABLE)
    tax_note = models.CharField(
        max_length=255,
        blank=True,
        default="",
        db_default="",
        help_text="Printed on invoices where no tax is charged, for example the certificate of exemption.",
    )
    net_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="Days to pay an invoice. Leave blank to use the company's payment terms."
    )
    einvoice_format = models.CharField(
        "electronic invoice",
        max_length=16,
        choices=EInvoiceFormat.choices,
        blank=True,
        default="",
        db_default="",
        help_text="Also issue invoices and credit notes as data that software can read. Leave blank for PDF only.",
    )
    buyer_reference = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="What the customer assigns electronic invoices by. For German authorities, the Leitweg-ID.",
    )
    peppol_id = models.CharField(
        "electronic address",
        max_length=64,
        blank=True,
        default="",
        db_default="",
        validators=[validate_electronic_address],
        help_text="Peppol ID or other address of electronic invoices, with its scheme, for example 0208:0123456749. "
        "Leave blank to use the email address, which Peppol doesn't accept.",
    )
    untaxed_category = models.CharField(
        "reason without tax",
        max_length=2,
        choices=[(category.value, category.label) for category in UNTAXED_CATEGORIES],
        blank=True,
        default="",
        db_default="",
        help_text="The category of VAT on electronic invoices without tax. Leave blank to derive it from the tax "
        "treatment.",
    )
    joins_invoices = models.BooleanField(
        "joint invoices",
        default=False,
        db_default=False,
        help_text="Put charges of several subscriptions that are due at the same moment on one joint invoice.",
    )
    metadata = models.JSONField(default=dict, blank=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "pk"]
        indexes: ClassVar = [models.Index(fields=["name", "id"], name="customer_by_name")]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="customer_external_id_trimmed",
                condition=~Q(external_id="") & ~Q(external_id__regex=r"^\s|\s$"),
                violation_error_message="Enter an external customer ID that doesn't start or end with a space.",
            ),
            models.CheckConstraint(
                name="customer_not_own_parent",
                condition=Q(parent=None) | ~Q(parent=models.F("id")),
                violation_error_message="A customer isn't its own parent. Leave this field blank.",
            ),
            models.CheckConstraint(
                name="customer_archived_has_time",
                condition=Q(state="archived", archived_at__isnull=False) | Q(state="active", archived_at=None),
            ),
            models.CheckConstraint(
                name="customer_erased_is_archived", condition=Q(erased_at=None) | Q(state="archived")
            ),
        ]
        triggers: ClassVar = [
            protect_unless_erasing(
                "keep_external_id", pgtrigger.Update, pgtrigger.Q(old__external_id__df=pgtrigger.F("new__external_id"))
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:customers_customer_change", args=[self.pk])

    def clean(self) -> None:
        """Refuse a parent that doesn't get invoices itself, and one of a customer that is a parent.

        Refuse joint invoices together with electronic ones, which are of one subscription each.
        """
        if self.joins_invoices and self.einvoice_format:
            reason = "An electronic invoice is of one subscription. Turn off joint invoices or electronic invoices."
            raise ValidationError({"joins_invoices": reason})
        if self.parent is None:
            return
        if self.parent.state == CustomerState.ARCHIVED:
            raise ValidationError({"parent": f"{self.parent} is archived, so no invoices can go there."})
        if self.parent.parent is not None:
            raise ValidationError({"parent": f"The invoices of {self.parent} go to {self.parent.parent}. Choose that."})
        if self.pk is not None and self.children.exists():
            raise ValidationError({"parent": f"{self} pays for other customers, so another one can't pay for it."})

    @property
    def billing_currency(self) -> str:
        """Return the currency of new subscriptions: the customer's, or the company's if the customer has none."""
        return self.currency or settings.DEFAULT_CURRENCY


class CustomerAlias(Stamped):
    """A wrong external id that senders use, mapped to the right customer. The ledger keeps the id as sent."""

    alias = models.CharField("external customer ID as sent", max_length=255, unique=True)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="aliases")
    reason = models.CharField(max_length=255, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    to_recount = ArrayField(
        models.BigIntegerField(),
        default=list,
        editable=False,
        help_text="Former customers of this alias. Events counted for them are still to be moved.",
    )

    class Meta:
        ordering: ClassVar = ["alias"]
        verbose_name_plural = "customer aliases"
        triggers: ClassVar = [
            pgtrigger.Trigger(
                name="note_former_customer",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(old__customer_id__df=pgtrigger.F("new__customer_id")),
                func="NEW.to_recount := array_append(OLD.to_recount, OLD.customer_id); RETURN NEW;",
            ),
            pgtrigger.Protect(name="keep_customer_alias", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.alias} → {self.customer.external_id}"


auditlog.register(Customer, exclude_fields=["updated_at"])
auditlog.register(CustomerAlias, exclude_fields=["updated_at", "to_recount"])
