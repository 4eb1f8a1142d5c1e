"""Read the commitments of subscriptions, and what invoices charge for usage and hold of commitments."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from django.db.models import F, Q, QuerySet

from billing.charges.commitment_facts import ChargedUsage, CommittedAmount
from billing.charges.subscription import BilledSubscription
from billing.charges.subscription_commitments import read_line
from billing.kinds import USAGE_KINDS, LineKind
from billing.models import InvoiceLine, InvoiceState
from billing.money import round_amount
from customers.kinds import CommitmentKind
from customers.models import Commitment

COLUMNS = ("subscription_id", "pk", "kind", "amount", "overage_factor", "periods", "starts_at", "ends_at")


def add_commitments(subscriptions: Mapping[int, BilledSubscription], leaving_out: Collection[int] = ()) -> None:
    """Add commitments to subscriptions: one query, and another one if there are any."""
    committed = _add_amounts(subscriptions)
    if committed:
        lines = _lines(committed).exclude(invoice__state=InvoiceState.VOID).exclude(invoice__in=leaving_out)
        _add_lines(committed, lines)


def add_commitments_as_of(subscriptions: Mapping[int, BilledSubscription], moment: datetime) -> None:
    """Add commitments to subscriptions, with lines of invoices that were finalized before a moment and live then."""
    committed = _add_amounts(subscriptions)
    if committed:
        is_live = Q(invoice__voided_at=None) | Q(invoice__voided_at__gte=moment)
        _add_lines(committed, _lines(committed).filter(is_live, invoice__finalized_at__lt=moment))


def _add_amounts(subscriptions: Mapping[int, BilledSubscription]) -> dict[int, BilledSubscription]:
    """Add what is committed, and return the subscriptions with commitments."""
    amounts: dict[int, list[CommittedAmount]] = defaultdict(list)
    rows = Commitment.objects.filter(subscription__among=list(subscriptions)).exclude(ends_at=F("starts_at"))
    for subscription_id, pk, kind, amount, *terms in rows.order_by("starts_at").values_list(*COLUMNS):
        rounded = round_amount(amount, subscriptions[subscription_id].currency)
        amounts[subscription_id].append(CommittedAmount(pk, CommitmentKind(kind), rounded, *terms))
    for subscription_id, committed in amounts.items():
        subscriptions[subscription_id].committed.amounts = tuple(committed)
    return {pk: subscriptions[pk] for pk in amounts}


def _lines(subscriptions: Collection[int]) -> QuerySet[InvoiceLine]:
    return InvoiceLine.objects.filter(
        invoice__subscription__in=list(subscriptions), kind__in=(*USAGE_KINDS, LineKind.COMMITMENT)
    )


def _add_lines(subscriptions: Mapping[int, BilledSubscription], lines: QuerySet[InvoiceLine]) -> None:
    rows = lines.order_by("pk").values_list(
        *("invoice__subscription", "invoice", "invoice__period_end"),
        *("kind", "period_start", "amount", "computation__commitment"),
    )
    for subscription_id, invoice_id, until, kind, at, amount, computation in rows:
        committed = subscriptions[subscription_id].committed
        if kind == LineKind.COMMITMENT:
            committed.invoiced.append(read_line(computation, amount, until, invoice_id))
        else:
            committed.usage.append(ChargedUsage(at, amount, invoice_id))
