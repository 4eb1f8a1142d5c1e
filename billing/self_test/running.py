"""One pass of the self-test. It is excluded from all books because it is never committed to them."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from billing.documents.rendering import render
from billing.models import SelfTest, SelfTestStage
from billing.self_test import expected
from billing.self_test.billed import Result, bill_usage
from billing.self_test.sending import send_events, send_webhook
from billing.self_test.stages import Stages, expect
from config.approvals.gate import without_approval
from config.audit import recorded
from config.db.clock import read_clock
from config.webhooks.names import WebhookEvent
from events.access.self_test import get_self_test_key
from events.models import InboxRequest

KEPT = timedelta(days=2)  # of passes that found nothing; failures are kept for LOG_DAYS


def run_self_test(*, now: datetime) -> SelfTest:
    """Do all stages, record the result, and return it. An unexpected error is recorded and raised."""
    stages = Stages()
    try:
        with stages:
            _pass(stages, f"self-test-{secrets.token_hex(6)}", now)
    finally:
        delete_sent()
        result = _record(stages, now)
        prune_self_tests(now=now)
    return result


def delete_sent() -> None:
    """Delete the self-test's requests from the inbox, also those of a pass that was killed."""
    InboxRequest.with_self_test.filter(api_key__is_self_test=True).delete()


def prune_self_tests(*, now: datetime) -> None:
    """Delete old results."""
    SelfTest.objects.filter(failed_stage="", started_at__lt=now - KEPT).delete()
    SelfTest.objects.filter(started_at__lt=now - timedelta(days=settings.LOG_DAYS)).delete()


def _pass(stages: Stages, name: str, now: datetime) -> None:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - expected.PERIOD
    with stages.stage(SelfTestStage.ACCEPTED):
        key, secret = get_self_test_key(now=now)
        send_events(name, secret, since=since)
        sent = InboxRequest.with_self_test.filter(api_key=key, external_customer_ids__contains=[name])
        requests = list(sent.order_by("pk").values_list("pk", flat=True))
        expect("Requests in the inbox", len(requests), 2)
    result = _bill_and_roll_back(stages, requests, name, since=since, now=now)
    with stages.stage(SelfTestStage.DOCUMENT):
        pdf = render(result.document, made_at=result.finalized_at)
        expect("The beginning of the PDF", pdf[:5], b"%PDF-")
    with stages.stage(SelfTestStage.WEBHOOK):
        _check_webhook(send_webhook(result.message, message_id=result.message_id, at=read_clock()))


def _bill_and_roll_back(stages: Stages, requests: list[int], name: str, *, since: datetime, now: datetime) -> Result:
    """Bill in a transaction whose constraints are all checked, as a commit would, and which is then rolled back."""
    with transaction.atomic(), recorded(by=None, reason="Self-test"), without_approval():
        result = bill_usage(stages, requests, name, since=since, now=now)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)
    return result


def _check_webhook(received: Mapping[str, Any]) -> None:
    expect("The event of the webhook", received["event_type"], WebhookEvent.INVOICE_FINALIZED.value)
    expect("The total in the webhook", Decimal(received["total"]), expected.TOTAL)


def _record(stages: Stages, now: datetime) -> SelfTest:
    return SelfTest.objects.create(
        started_at=now,
        finished_at=read_clock(),
        stages=stages.milliseconds,
        failed_stage=stages.current if stages.problem else "",
        problem=stages.problem,
    )
