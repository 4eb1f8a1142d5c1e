"""The current balance of a customer's prepaid credit: usable credit, less unbilled charges and unpaid invoices."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from billing.adjustments.credit import AvailableCredit, credit_moment, reserve_credit
from billing.invoicing.conditions import in_order_of_use
from billing.invoicing.upcoming import upcoming_many
from billing.models import CreditGrant, Invoice, Wallet
from billing.models.invoices import REMAINING
from billing.money import ZERO
from billing.settlement.wallets import sum_usable_credit
from customers.models import Subscription


@dataclass(frozen=True, slots=True)
class Balance:
    """Amounts in the wallet's currency. `usable` is the credit of this wallet; the others are for the whole customer.

    `used` is the total of drafts and upcoming invoices, `unpaid` the amount left to pay of finalized invoices.
    """

    usable: Decimal
    used: Decimal
    unpaid: Decimal

    @property
    def real_time(self) -> Decimal:
        return self.usable - self.used - self.unpaid


def calculate_balance(wallet: Wallet, *, now: datetime) -> Balance:
    """Calculate a wallet's current balance. It is negative if the customer owes more than the wallet holds.

    An upcoming invoice that can't be calculated isn't included. Expired credit that still pays drafts and due invoices
    of earlier periods reduces what they use.
    """
    invoices = Invoice.objects.filter(customer=wallet.customer_id, currency=wallet.currency)
    unpaid: Decimal | None = invoices.to_pay().aggregate(sum=Sum(REMAINING))["sum"]
    live = Subscription.objects.live(now).filter(customer=wallet.customer_id, currency=wallet.currency)
    upcoming_invoices = upcoming_many(list(live.values_list("pk", flat=True)), now=now).values()
    bills = list(invoices.drafts().order_by("pk").values_list("total", "period_end"))
    for upcoming in upcoming_invoices:
        bills += [(earlier.total, earlier.request.invoice.period.end) for earlier in upcoming.earlier]
    used = sum((total for total, _ in bills), ZERO) + sum((upcoming.total for upcoming in upcoming_invoices), ZERO)
    used -= _sum_paid_by_expired_credit(wallet, bills, now)
    return Balance(sum_usable_credit(wallet, now=now), used, unpaid or ZERO)


def _sum_paid_by_expired_credit(
    wallet: Wallet, bills: Iterable[tuple[Decimal, datetime | None]], now: datetime
) -> Decimal:
    grants = CreditGrant.objects.filter(
        wallet__customer=wallet.customer_id, wallet__currency=wallet.currency, remaining__gt=0, expires_at__lte=now
    )
    expired = [AvailableCredit(grant.pk, grant.remaining, grant.expires_at) for grant in in_order_of_use(grants)]
    return sum((reserve_credit(expired, total, credit_moment(end, now)) for total, end in bills), ZERO)
