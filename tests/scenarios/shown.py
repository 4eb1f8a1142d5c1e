"""Examples of what the API answers and tells: asked of a real company, its ids and moments made the same every time."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from django.db import transaction

from billing.models import BillingRun, Invoice
from billing.runs.billing_run import run_to_end, unfinished_chunks
from billing.runs.dry_run import dry_run_chunk
from config.webhooks.models import WebhookMessage
from events.ledger.processing import process_batch
from tests.api import Api
from tests.scenarios.described import JSON, Named, example_of, make_one_of_everything, operations
from tests.scenarios.happening import let_all_happen

NOW = datetime(2026, 4, 2, 9, 30, tzinfo=UTC)  # the first period of the company is over
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
ID = re.compile(r"\b([a-z]+)_([0-9a-f]{24})\b")
KEY = re.compile(r'("id": "|"iter_last_key": "\d+-)(\d+)(?=")')  # of problems, and where a page ended
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
TOKEN = re.compile(r"/documents/[^/\"?]+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


@dataclass(frozen=True)
class Case:
    """How an operation is asked where its own example doesn't do."""

    query: str = ""
    fields: Callable[[Api], dict[str, Any]] | None = None
    first: Callable[[Api, Named], Any] | None = None
    is_first: bool = False


def _other_feature(api: Api) -> dict[str, Any]:
    meter = {"event_name": "files.stored", "aggregation": {"type": "MAX", "field": "bytes"}}
    feature = {"name": "Storage", "type": "metered", "lookup_key": "storage", "meter": meter}
    return {"feature_id": api.post("features", feature, 201)["id"]}


CASES = {
    "createCustomer": Case(is_first=True),
    "createPlan": Case(is_first=True),
    "createCoupon": Case(is_first=True),
    "updateCustomer": Case("external_customer_id=acme"),
    "getCustomerStatement": Case("from_date=2026-03-01&to_date=2026-04-30"),
    "getCustomerUsageSummary": Case("customer_lookup_key=acme"),
    "getCustomerWallets": Case("lookup_key=acme"),
    "getEvent": Case("id=api.calls-acme"),
    "getInvoicePdf": Case("url=true"),
    "createEntitlement": Case(fields=_other_feature),
    "createEntitlementsBulk": Case(fields=_other_feature),
    "resumeSubscription": Case(
        first=lambda api, named: api.post(f"subscriptions/{named['subscription_id'][0]}/pause", {})
    ),
    "debitWallet": Case(
        first=lambda api, named: api.post(
            f"wallets/{named['wallet_id'][0]}/top-up",
            {"transaction_reason": "FREE_CREDIT_GRANT", "credits_to_add": "50"},
        )
    ),
}


def collected(api: Api) -> dict[str, Any]:
    """Ask every operation, and let everything happen; return what was answered and told, the same each time."""
    first = dict(_answers(api, {}, is_first=True))
    api.post("webhooks", {"url": "https://example.com/hooks"}, 201)
    named, draft = _company(api)
    answers = dict(_answers(api, named, is_first=False)) | first
    let_all_happen(api, named, draft)
    told = {row.event_type: json.loads(row.body) for row in WebhookMessage.objects.order_by("-pk")}  # the first of each
    tidied: dict[str, Any] = _tidied({"answers": dict(sorted(answers.items())), "messages": dict(sorted(told.items()))})
    return tidied


def _company(api: Api) -> tuple[Named, Invoice]:
    """Make the company, with an invoice of a month's usage besides; return its names, and a draft."""
    named = make_one_of_everything(api)
    tokens = {"event_name": "api.calls", "aggregation": {"type": "SUM", "field": "tokens"}}
    api.post("features", {"name": "Tokens", "type": "metered", "lookup_key": "tokens", "meter": tokens}, 201)
    events = [
        {
            "event_id": f"march-{number}", "event_name": "api.calls", "external_customer_id": "acme",
            "timestamp": f"2026-03-{number:02}T08:00:00Z", "properties": {"tokens": 100 + number},
        }
        for number in range(1, 25)
    ]  # fmt: skip
    api.post("events/bulk", {"events": events}, 202)
    process_batch()
    run = BillingRun.objects.get(public_id=named["run_id"][0])
    for chunk_id in unfinished_chunks(run):
        dry_run_chunk(chunk_id, now=NOW)
    run_to_end(as_of=APRIL)
    month = Invoice.objects.filter(kind="cycle").latest("period_start")
    api.post(f"invoices/{month.public_id}/finalize")
    named["invoice_id"].insert(0, month.public_id)
    named["line_id"].insert(0, month.lines.get(kind="usage").public_id)
    return named, Invoice.objects.get(kind="opening")


def _answers(api: Api, named: Named, *, is_first: bool) -> Iterator[tuple[str, Any]]:
    for path, method, one in operations():
        case = CASES.get(one["operationId"], Case())
        if case.is_first == is_first and (statuses := statuses_shown(one)):
            answer = _asked(api, named, case, path, method, one)
            yield one["operationId"], dict.fromkeys(statuses, answer)


def statuses_shown(operation: Any) -> list[str]:
    """Return the statuses of success that have a body of JSON."""
    answers = operation["responses"].items()
    return [status for status, answer in answers if status < "300" and JSON in answer.get("content", {})]


def _asked(api: Api, named: Named, case: Case, path: str, method: str, one: Any) -> Any:
    """Send an operation's own example, about what is there, until one of the things that it may be about will do."""
    example = example_of(one)
    refusals = []
    for chosen in _choices(named, path, example):
        with transaction.atomic():
            if case.first is not None:
                case.first(api, named)
            body = _about(example, chosen | (case.fields(api) if case.fields else {}))
            address = path.format(**chosen)
            given = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
            answer = api.client.generic(method.upper(), f"{address}?{case.query}", **given)
            transaction.set_rollback(True)
        if str(answer.status_code) in one["responses"] and answer.status_code < 300:
            return json.loads(answer.content)
        refusals.append(answer.content.decode())
    raise AssertionError(f"{one['operationId']} is never carried out: {refusals}")


def _choices(named: Named, path: str, example: Any) -> Iterator[dict[str, str]]:
    names = [name for name in named if f"{{{name}}}" in path or f'"{name}"' in json.dumps(example)]
    for values in product(*(named[name][:-1] for name in names)):
        yield dict(zip(names, values, strict=True))


def _about(body: Any, chosen: dict[str, Any]) -> Any:
    if isinstance(body, list):
        return [_about(each, chosen) for each in body]
    if not isinstance(body, dict):
        return body
    return {
        name: ([chosen[name]] if isinstance(value, list) else chosen[name])
        if name in chosen and not isinstance(value, dict)
        else _about(value, chosen)
        for name, value in body.items()
    }


def _tidied(found: Any) -> Any:
    """Give ids by their order, and put what the database's clock says at the moment of the story."""
    known: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        digits = hashlib.sha256(f"{match[1]}{len(known)}".encode()).hexdigest()[:24]
        return known.setdefault(match[0], f"{match[1]}_{digits}")

    def number(match: re.Match[str]) -> str:
        return known.setdefault(match[0], f"{match[1]}{len(known)}")

    def move(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(match[0])
        return f"{NOW:%Y-%m-%dT%H:%M:%SZ}" if abs(at - datetime.now(UTC)) < timedelta(days=1) else match[0]

    text = json.dumps(found).replace("http://testserver/", "https://billing.example.com/")
    text = SECRET.sub("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", TOKEN.sub("/documents/eyJpbnZvaWNlIjoi", text))
    return json.loads(MOMENT.sub(move, KEY.sub(number, ID.sub(rename, text))))
