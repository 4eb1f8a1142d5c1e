"""Tax rates and their assignments to customers and subscriptions."""

from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from config.db import CurrencyField, PublicIdField, Stamped
from customers.models import Customer, Subscription

COUNTRY_CODE = RegexValidator(r"^[A-Z]{2}\Z", "Enter a two-letter ISO 3166 country code in capitals, for example DE.")


class TaxRate(Stamped):
    """A tax rate. Its code, percentage and type never change: for another percentage, add another rate."""

    public_id = PublicIdField("taxrate")
    code = models.CharField(max_length=64, unique=True, help_text="Used in the API and exports, for example VAT-DE.")
    name = models.CharField(max_length=255, help_text="Shown on invoices, for example VAT.")
    percentage = models.DecimalField(
        max_digits=9, decimal_places=6, validators=[MinValueValidator(0), MaxValueValidator(100)]
    )
    is_inclusive = models.BooleanField(
        "inclusive", default=False, help_text="Prices already include the tax. Otherwise the tax is added to them."
    )
    country = models.CharField(
        max_length=2,
        blank=True,
        validators=[COUNTRY_CODE],
        help_text="As a company default, applies to customers with an address here. Leave blank for all countries.",
    )
    description = models.TextField(blank=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["code"]
        constraints: ClassVar = [
            models.CheckConstraint(name="tax_percentage_in_range", condition=Q(percentage__gte=0, percentage__lte=100)),
            models.CheckConstraint(name="tax_code_given", condition=~Q(code="")),
        ]
        triggers: ClassVar = [
            pgtrigger.Protect(
                name="keep_tax_rate",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__code__df=pgtrigger.F("new__code"))
                | pgtrigger.Q(old__percentage__df=pgtrigger.F("new__percentage"))
                | pgtrigger.Q(old__is_inclusive__df=pgtrigger.F("new__is_inclusive")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.percentage.normalize():f}%" if self.percentage is not None else self.name

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_taxrate_change", args=[self.pk])


class TaxAssignment(Stamped):
    """A tax assigned to a customer or a subscription. With neither, the default for customers without their own."""

    public_id = PublicIdField("taxassoc")
    rate = models.ForeignKey(TaxRate, models.PROTECT, related_name="assignments")
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, blank=True, related_name="taxes")
    subscription = models.ForeignKey(Subscription, models.PROTECT, null=True, blank=True, related_name="taxes")
    position = models.PositiveIntegerField(default=0, help_text="Taxes with lower numbers are listed first.")
    currency = CurrencyField(
        blank=True, help_text="Only applies to invoices in this currency. Leave blank for all currencies."
    )
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["position", "pk"]
        verbose_name = "assigned tax"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rate", "customer", "subscription"], name="tax_assigned_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                name="tax_of_one_owner",
                condition=Q(customer=None) | Q(subscription=None),
                violation_error_message="Assign a tax to a customer or to a subscription, not to both.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rate} for {self.subscription or self.customer or 'the company default'}"


auditlog.register(TaxRate, exclude_fields=["updated_at"])
auditlog.register(TaxAssignment, exclude_fields=["updated_at"])
