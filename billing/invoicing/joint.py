"""Put drafts of several subscriptions on joint invoices: those of one payer and currency that are due at one moment.

Runs in several transactions at once use the same joint invoice. Finalizing locks a joint invoice before it gets its
number, so that no section joins it any more: a section that comes later is on another joint invoice.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from billing.invoicing.compute import ComputedInvoice
from billing.models import Invoice, JointInvoice

type JointKey = tuple[int, str, datetime]  # who pays, currency, when its sections are due

LOCK_OPEN = """
    SELECT id FROM billing_jointinvoice WHERE id = ANY(%s) AND number IS NULL ORDER BY id FOR KEY SHARE
"""


def join_drafts(drafts: Sequence[Invoice], computed_invoices: Sequence[ComputedInvoice]) -> None:
    """Set the joint invoices of unsaved drafts whose customers get them. Call it in the transaction that saves them.

    A joint invoice with a single section is none: finalizing dissolves it.
    """
    keys: dict[int, JointKey] = {}
    for position, computed in enumerate(computed_invoices):
        request = computed.request
        if request.subscription.joins_invoices:
            subscription = request.subscription
            keys[position] = (subscription.payer_id, subscription.currency, request.invoice.due_at)
    if keys:
        joint_ids = _open_joint_invoices(set(keys.values()))
        for position, key in keys.items():
            drafts[position].joint_id = joint_ids[key]


def _open_joint_invoices(keys: set[JointKey]) -> dict[JointKey, int]:
    """Return the open joint invoices of these keys, and create those that are missing.

    They stay open until the transaction ends: finalizing waits for it.
    """
    joint_ids: dict[JointKey, int] = {}
    while missing := sorted(keys - joint_ids.keys()):
        JointInvoice.objects.bulk_create(
            [JointInvoice(customer_id=payer, currency=currency, period_end=at) for payer, currency, at in missing],
            ignore_conflicts=True,
        )
        rows = JointInvoice.objects.filter(
            number=None,
            replaces=None,
            customer__in={key[0] for key in missing},
            period_end__in={key[2] for key in missing},
        )
        found = {
            (payer, currency, at): pk
            for pk, payer, currency, at in rows.values_list("pk", "customer_id", "currency", "period_end")
        }
        with connection.cursor() as cursor:
            cursor.execute(LOCK_OPEN, [[found[key] for key in missing if key in found]])
            still_open = {pk for (pk,) in cursor}
        joint_ids |= {key: pk for key, pk in found.items() if pk in still_open and key in keys}
    return joint_ids
