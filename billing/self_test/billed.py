"""Count, invoice and finalize the pass's usage with the product's own functions, and compare each result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.documents.invoices import PARTS, RELATED, build_invoice_document
from billing.kinds import LineKind
from billing.lifecycle.finalize import finalize
from billing.models import BillingRun, Invoice, InvoiceState, RunKind, RunState, SelfTestStage
from billing.runs.billing_run import bill_subscriptions
from billing.runs.billing_states import add_state
from billing.self_test import expected
from billing.self_test.company import SelfTestCompany, make_company
from billing.self_test.sending import WEBHOOK_PATH
from billing.self_test.stages import Stages, expect
from config.webhooks.models import WebhookEndpoint, WebhookMessage
from config.webhooks.names import WebhookEvent
from events.ledger.closing import mark_closed
from events.ledger.processing import process_requests
from events.usage.meter import usage


@dataclass(frozen=True, slots=True)
class Result:
    """What is left to do after the rollback: the content of the document, and the webhook message."""

    document: Mapping[str, Any]
    finalized_at: datetime
    message_id: str
    message: str


def bill_usage(stages: Stages, requests: Sequence[int], name: str, *, since: datetime, now: datetime) -> Result:
    """Bill the usage of the requests. Needs a transaction that is rolled back, since all of it is written."""
    company = make_company(name, since=since)
    with stages.stage(SelfTestStage.COUNTED):
        _count(requests, company, since)
    with stages.stage(SelfTestStage.INVOICED):
        invoice = _invoice(company, now)
    with stages.stage(SelfTestStage.FINALIZED):
        message = _finalize(invoice, now)
    shown = Invoice.objects.select_related(*RELATED).prefetch_related(*PARTS).get(pk=invoice.pk)
    return Result(build_invoice_document(shown), now, message.public_id, message.body)


def _count(requests: Sequence[int], company: SelfTestCompany, since: datetime) -> None:
    batch = process_requests(requests)
    expect("Events received", batch.events, expected.RECEIVED)
    expect("Events counted", batch.counted, expected.COUNTED)
    expect("Repeated events", batch.duplicates, expected.DUPLICATES)
    quantity = usage(company.customer.pk, company.feature, since, since + expected.PERIOD)
    expect("Usage", quantity.value, expected.QUANTITY)


def _invoice(company: SelfTestCompany, now: datetime) -> Invoice:
    add_state(company.subscription.pk)
    mark_closed({company.customer.pk: now})
    run = BillingRun.objects.create(kind=RunKind.MANUAL, state=RunState.FINISHED, as_of=now, started_at=now)
    tally = bill_subscriptions([company.subscription.pk], as_of=now, run=run)
    expect("Problems of the billing run", list(tally.problems.values()), [])
    invoices = list(Invoice.objects.filter(subscription=company.subscription))
    expect("Number of invoices", len(invoices), 1)
    lines = invoices[0].lines.exclude(kind=LineKind.TAX).order_by("position", "pk")
    expect("Amounts of the lines", [line.amount for line in lines], expected.AMOUNTS)
    expect("Tax", invoices[0].tax_total, expected.TAX)
    expect("Total", invoices[0].total, expected.TOTAL)
    return invoices[0]


def _finalize(invoice: Invoice, now: datetime) -> WebhookMessage:
    endpoint = WebhookEndpoint.objects.create(url=WEBHOOK_PATH, event_types=[WebhookEvent.INVOICE_FINALIZED])
    finalized = finalize(invoice, now=now)
    expect("Status", finalized.state, InvoiceState.FINALIZED)
    expect("Has a number", bool(finalized.number), True)
    expect("Amount due", finalized.amount_remaining, expected.TOTAL)
    return WebhookMessage.objects.get(deliveries__endpoint=endpoint, object_id=finalized.public_id)
