"""What a customer's credit is worth just now: what can be used, less what is used already and what isn't paid."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Sum

from billing.invoicing.upcoming import upcoming_many
from billing.models import Invoice, InvoiceState, Wallet
from billing.money import ZERO
from billing.settlement.wallets import usable
from customers.models import Subscription


@dataclass(frozen=True, slots=True)
class Balance:
    """Amounts in the wallet's currency. `usable` is of this wallet alone; the rest is the customer's."""

    usable: Decimal
    used: Decimal
    unpaid: Decimal

    @property
    def real_time(self) -> Decimal:
        return self.usable - self.used - self.unpaid


def balance_of(wallet: Wallet, *, now: datetime) -> Balance:
    """Work out a wallet's balance as of now. Below zero: the customer owes more than is in it.

    Used is what drafts and upcoming invoices come to; one that can't be worked out counts as nothing.
    """
    mine = Invoice.objects.filter(customer=wallet.customer_id, currency=wallet.currency)
    open_ones = mine.filter(state=InvoiceState.FINALIZED).aggregate(sum=Sum(F("amount_due") - F("amount_paid")))["sum"]
    drafts = mine.filter(state=InvoiceState.DRAFT).aggregate(sum=Sum("total"))["sum"]
    live = Subscription.objects.live(now).filter(customer=wallet.customer_id, currency=wallet.currency)
    coming = upcoming_many(list(live.values_list("pk", flat=True)), now=now).values()
    used = sum((each.total + sum((earlier.total for earlier in each.earlier), ZERO) for each in coming), ZERO)
    return Balance(usable(wallet, now=now), used + (drafts or ZERO), open_ones or ZERO)
