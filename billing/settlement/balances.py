"""The current balance of a customer's prepaid credit: usable credit, less unbilled charges and unpaid invoices."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Sum

from billing.invoicing.upcoming import upcoming_many
from billing.models import Invoice, InvoiceState, Wallet
from billing.money import ZERO
from billing.settlement.wallets import sum_usable_credit
from customers.models import Subscription


@dataclass(frozen=True, slots=True)
class Balance:
    """Amounts in the wallet's currency. `usable` is the credit of this wallet; the others are for the whole customer.

    `used` is the total of drafts and upcoming invoices, `unpaid` that of finalized invoices that aren't paid.
    """

    usable: Decimal
    used: Decimal
    unpaid: Decimal

    @property
    def real_time(self) -> Decimal:
        return self.usable - self.used - self.unpaid


def calculate_balance(wallet: Wallet, *, now: datetime) -> Balance:
    """Calculate a wallet's current balance. It is negative if the customer owes more than the wallet holds.

    An upcoming invoice that can't be calculated isn't included.
    """
    invoices = Invoice.objects.filter(customer=wallet.customer_id, currency=wallet.currency)
    unpaid_invoices = invoices.filter(state=InvoiceState.FINALIZED)
    unpaid = unpaid_invoices.aggregate(sum=Sum(F("amount_due") - F("amount_paid")))["sum"]
    drafts = invoices.filter(state=InvoiceState.DRAFT).aggregate(sum=Sum("total"))["sum"]
    live = Subscription.objects.live(now).filter(customer=wallet.customer_id, currency=wallet.currency)
    upcoming_invoices = upcoming_many(list(live.values_list("pk", flat=True)), now=now).values()
    upcoming_total = sum(
        (upcoming.total + sum((earlier.total for earlier in upcoming.earlier), ZERO) for upcoming in upcoming_invoices),
        ZERO,
    )
    return Balance(sum_usable_credit(wallet, now=now), upcoming_total + (drafts or ZERO), unpaid or ZERO)
