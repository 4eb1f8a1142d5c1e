"""Prepaid credit: wallets, credit grants, and an append-only ledger of transactions."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import pgtrigger
from auditlog.registry import auditlog
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse

from billing.models.coupons import check_currency
from billing.models.invoices import Invoice
from billing.money import format_amount
from config.db import AmountField, CurrencyField, PublicIdField, Stamped, keep_rows, protect_unless_erasing
from customers.models import Customer

BY_LEDGER = """
    IF NEW.{column} IS DISTINCT FROM OLD.{column} AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'the {column} moves by the entries of the ledger only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
"""


class WalletState(models.TextChoices):
    ACTIVE = "active", "Active"
    CLOSED = "closed", "Closed"


class WalletQuerySet(models.QuerySet["Wallet"]):
    """Questions about many wallets, one query each. The clock is passed in."""

    def with_usable(self, at: datetime) -> WalletQuerySet:
        """Add `usable`: the remaining credit that hasn't expired at the moment. It is at most the balance."""
        grants = CreditGrant.objects.usable(at).filter(wallet=models.OuterRef("pk")).order_by().values("wallet")
        total = models.Subquery(grants.annotate(total=models.Sum("remaining")).values("total"))
        return self.annotate(usable=Coalesce(total, models.Value(0), output_field=AmountField()))


class Wallet(Stamped):
    """A customer's prepaid credit in one currency. Its balance is the sum of its ledger, kept by the database."""

    public_id = PublicIdField("wallet")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="wallets")
    currency = CurrencyField()
    name = models.CharField(max_length=255, default="Prepaid credit")
    description = models.TextField(blank=True)
    priority = models.PositiveIntegerField(
        default=0, help_text="If credits expire at the same time, wallets with lower numbers are used first."
    )
    balance = AmountField(default=0, editable=False)
    state = models.CharField("status", max_length=8, choices=WalletState, default=WalletState.ACTIVE, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False)
    metadata = models.JSONField(default=dict, blank=True)

    objects = WalletQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["customer", "priority", "pk"]
        indexes: ClassVar = [models.Index(fields=["customer", "currency"], name="wallet_of_customer")]
        constraints: ClassVar = [
            models.CheckConstraint(name="wallet_not_below_zero", condition=Q(balance__gte=0)),
            models.CheckConstraint(name="wallet_currency_code", condition=Q(currency__regex="^[A-Z]{3}$")),
            models.CheckConstraint(
                name="wallet_closed_is_empty",
                condition=Q(state="active", closed_at=None) | Q(state="closed", closed_at__isnull=False, balance=0),
            ),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="wallet_balance_by_ledger",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                func=BY_LEDGER.format(column="balance"),
            ),
            pgtrigger.Protect(
                name="keep_wallet_terms",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__customer_id__df=pgtrigger.F("new__customer_id"))
                | pgtrigger.Q(old__currency__df=pgtrigger.F("new__currency")),
            ),
            pgtrigger.Protect(
                name="wallet_begins_empty", operation=pgtrigger.Insert, condition=~pgtrigger.Q(new__balance=0)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.currency})"

    def clean(self) -> None:
        """Require a current currency for a new wallet. Existing wallets may keep a former one."""
        if self._state.adding:
            check_currency(self.currency)

    def get_absolute_url(self) -> str:
        return reverse("admin:billing_wallet_change", args=[self.pk])


class GrantKind(models.TextChoices):
    PURCHASED = "purchased", "Purchased"
    PROMOTIONAL = "promotional", "Promotional"
    CORRECTION = "correction", "Correction"
    INVOICE = "invoice", "From a negative invoice"
    OVERPAYMENT = "overpayment", "From an overpayment"


class CreditGrantQuerySet(models.QuerySet["CreditGrant"]):
    """Questions about many grants, one query each. The clock is passed in."""

    def usable(self, at: datetime) -> CreditGrantQuerySet:
        """Keep grants with remaining credit that hasn't expired at the moment."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=at), remaining__gt=0)


class CreditGrant(Stamped):
    """Credit granted to a wallet, with its expiry and remaining amount."""

    public_id = PublicIdField("grant")
    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="grants")
    kind = models.CharField(max_length=16, choices=GrantKind)
    amount = AmountField()
    remaining = AmountField(default=0, editable=False)
    priority = models.PositiveIntegerField(
        default=0, help_text="If credits expire at the same time, lower numbers are used first."
    )
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="Not usable from this time. Leave blank for no expiry."
    )
    reason = models.CharField(max_length=255)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    invoice = models.OneToOneField(
        Invoice,
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="credit_granted",
        help_text="The negative invoice that granted the credit.",
    )
    reference = models.CharField(
        max_length=255,
        null=True,
        blank=True,
        editable=False,
        help_text="The caller's unique reference; a repeated request grants nothing.",
    )
    metadata = models.JSONField(default=dict, blank=True)

    objects = CreditGrantQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "grant"
        indexes: ClassVar = [
            models.Index(fields=["wallet", "expires_at"], name="grant_usable", condition=Q(remaining__gt=0)),
            models.Index(fields=["expires_at"], name="grant_to_expire", condition=Q(remaining__gt=0)),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(name="grant_above_zero", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="grant_remaining_in_range", condition=Q(remaining__gte=0, remaining__lte=F("amount"))
            ),
            models.CheckConstraint(name="grant_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="grant_expires_later", condition=Q(expires_at=None) | Q(expires_at__gt=F("granted_at"))
            ),
            models.UniqueConstraint(fields=["wallet", "reference"], name="grant_once_per_reference"),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="grant_remaining_by_ledger",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                func=BY_LEDGER.format(column="remaining"),
            ),
            pgtrigger.Protect(
                name="grant_begins_empty", operation=pgtrigger.Insert, condition=~pgtrigger.Q(new__remaining=0)
            ),
            pgtrigger.Protect(
                name="keep_grant",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__wallet_id__df=pgtrigger.F("new__wallet_id"))
                | pgtrigger.Q(old__amount__df=pgtrigger.F("new__amount"))
                | pgtrigger.Q(old__kind__df=pgtrigger.F("new__kind"))
                | pgtrigger.Q(old__granted_at__df=pgtrigger.F("new__granted_at"))
                | pgtrigger.Q(old__expires_at__df=pgtrigger.F("new__expires_at"))
                | pgtrigger.Q(old__invoice_id__df=pgtrigger.F("new__invoice_id")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} credit of {self.granted_at:%Y-%m-%d}"


class EntryKind(models.TextChoices):
    GRANTED = "granted", "Granted"
    APPLIED = "applied", "Applied to an invoice"
    RETURNED = "returned", "Returned from a voided invoice"
    EXPIRED = "expired", "Expired"
    TAKEN_BACK = "taken_back", "Revoked"


# Inserting an entry updates the grant and the wallet, so that balances always equal the sum of their entries.
MOVE_BALANCES = """
    UPDATE billing_creditgrant SET remaining = remaining + NEW.amount
    WHERE id = NEW.grant_id AND wallet_id = NEW.wallet_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the grant is not of this wallet' USING ERRCODE = 'restrict_violation';
    END IF;
    UPDATE billing_wallet SET balance = balance + NEW.amount
    WHERE id = NEW.wallet_id RETURNING balance INTO NEW.balance_after;
    RETURN NEW;
"""


class WalletEntry(models.Model):
    """One transaction of a wallet, written once and never changed. Inserting it updates the balances."""

    public_id = PublicIdField("wtxn")
    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="entries")
    grant = models.ForeignKey(CreditGrant, models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=16, choices=EntryKind)
    amount = AmountField(help_text="Positive for credit added to the wallet, negative for credit taken out.")
    balance_after = AmountField(default=0, editable=False)
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, blank=True, related_name="credit_entries")
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+")
    reason = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = "credit transaction"
        indexes: ClassVar = [models.Index(fields=["wallet", "-id"], name="entry_of_wallet")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["grant", "invoice", "kind"], name="credit_moved_once_per_invoice"),
            models.UniqueConstraint(fields=["grant"], name="granted_once", condition=Q(kind="granted")),
            models.CheckConstraint(
                name="entry_direction",
                condition=Q(kind__in=["granted", "returned"], amount__gt=0)
                | Q(kind__in=["applied", "expired", "taken_back"], amount__lt=0),
            ),
            models.CheckConstraint(
                name="entry_names_invoice", condition=~Q(kind__in=["applied", "returned"]) | Q(invoice__isnull=False)
            ),
            models.CheckConstraint(name="entry_taken_back_has_reason", condition=~Q(kind="taken_back") | ~Q(reason="")),
        ]
        triggers: ClassVar = [
            keep_rows(),
            pgtrigger.Trigger(
                name="move_balances", operation=pgtrigger.Insert, when=pgtrigger.Before, func=MOVE_BALANCES
            ),
            protect_unless_erasing("keep_entry", pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {format_amount(self.amount, self.wallet.currency)}"


auditlog.register(Wallet, exclude_fields=["updated_at", "balance"])
auditlog.register(CreditGrant, exclude_fields=["updated_at", "remaining"])
