"""Examples of API responses and webhooks of the sample company, with ids and times that are the same every time."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from billing.models import BillingRun, Invoice, SelfTest, Simulation
from billing.runs.billing_run import run_to_end, unfinished_chunks
from billing.runs.dry_run import dry_run_chunk
from config.backups.models import Backup
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.lease import Lease
from config.monitoring.models import Heartbeat, Process, SchedulingLease, TaskRecord
from config.signin.models import SignInEvent, SignInKind
from config.webhooks.models import WebhookMessage
from events.access.keys import clear_key_cache
from events.ledger.processing import process_batch
from events.models import ApiKey, PartState, SealedPart
from tests.api import Api
from tests.billing.simulations import simulate_to_end
from tests.scenarios.schema import JSON, SampleIds, get_example, list_operations, make_sample_company
from tests.scenarios.webhook_triggers import trigger_all_webhooks

NOW = datetime(2026, 4, 2, 9, 30, tzinfo=UTC)  # after the company's first period
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
ID = re.compile(r"\b([a-z]+)_([0-9a-f]{24})\b")
KEY = re.compile(r'("id": "(?:phase_|pause_)?|"iter_last_key": "\d+-)(\d+)(?=")')  # ids of problems, and page keys
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
API_KEY = re.compile(r"\bsk_[\w-]{9}([\w-]*)")
NAME = re.compile(r"(?<=Surplus of Payment )[0-9a-f]{6}")  # the end of a payment's id
SIGNED = re.compile(r'("signature": "|"public_key": "|"change_log_anchor": ")[^"]*')
DIGEST = re.compile(r'(?<="digest": ")(?!c0ffee)[0-9a-f]{64}')
TOKEN = re.compile(r"/documents/[^/\"?]+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")


# What differs each time.
MEASURED = {
    "database_bytes": 68_157_440,
    "disk_free_bytes": 78_056_906_752,
    "queues": [
        {"name": "Events", "waiting": 12, "oldest_seconds": 0.2},
        {"name": "Webhook deliveries", "waiting": 0, "oldest_seconds": None},
        {"name": "Tasks in the queue celery", "waiting": 1, "oldest_seconds": None},
        {"name": "Tasks in the queue runs", "waiting": 0, "oldest_seconds": None},
    ],
}


@dataclass(frozen=True)
class Case:
    """The request of an operation whose example isn't enough."""

    query: str = ""
    fields: Callable[[Api], dict[str, Any]] | None = None
    prepare: Callable[[Api, SampleIds], Any] | None = None
    is_first: bool = False
    path_ids: Callable[[Api], dict[str, str]] | None = None


def _make_other_feature(api: Api) -> dict[str, Any]:
    meter = {"event_name": "files.stored", "aggregation": {"type": "MAX", "field": "bytes"}}
    feature = {"name": "Storage", "type": "metered", "lookup_key": "storage", "meter": meter}
    return {"feature_id": api.post("features", feature, 201)["id"]}


def _make_former_customer(api: Api) -> dict[str, str]:
    """Make a customer without subscriptions, whose personal data can be erased."""
    customer = {"external_id": "cust-4711", "name": "Anna Miller", "email": "anna.miller@example.com"}
    return {"customer_id": api.post("customers", customer, 201)["id"]}


def _make_sign_in() -> None:
    SignInEvent.objects.create(
        kind=SignInKind.SIGNED_IN,
        username="mia@larkspur.example",
        detail="Password and authenticator app",
        address="198.51.100.7",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        request_id="5f0c7a0a1d5b4f6a9d1c6a4e2f3b8c7d",
    )


def _make_backup() -> None:
    Backup.objects.create(
        name="2026-04-02T01-40-00Z",
        started_at=NOW,
        finished_at=NOW,
        size=61_300_000,
        tables=98,
        rows=812_406,
        verified_at=NOW,
    )


def _make_sealed_part() -> None:
    SealedPart.objects.create(
        name="events-0000000000001000001-9f2c4e6a8b0d",
        state=PartState.SEALED,
        is_late=False,
        first_event=1_000_001,
        last_event=2_000_001,
        occurred_from=NOW - timedelta(days=80),
        occurred_until=NOW - timedelta(days=78),
        rows=998_214,
        checksum=4_711,
        bytes=39_928_560,
        digest="c0ffee" * 10 + "c0ff",
        returned=3,
        planned_at=NOW,
        published_at=NOW,
        sealed_at=NOW,
    )


def _make_self_test() -> None:
    stages = {"accepted": 24, "counted": 61, "invoiced": 108, "finalized": 22, "document": 161, "webhook": 9}
    SelfTest.objects.create(started_at=NOW, finished_at=NOW, stages=stages)


def _decide_as(username: str) -> None:
    """Make the API key one that the colleague created, so that it decides in their name."""
    user = User.objects.get(username=username)
    ApiKey.objects.filter(name="Test").update(created_by=user, responsible=user)
    clear_key_cache()


def _let_all_run() -> None:
    """Let processes live and schedules have run, as in an installation at work."""
    for process in Process:
        write_heartbeat(process)
    Heartbeat.objects.update(host="app-1", clock_ahead_s=0.002)
    Lease().hold()
    SchedulingLease.objects.update(host="app-1")
    at = timezone.now()
    for task in set(PeriodicTask.objects.values_list("task", flat=True)):
        TaskRecord.objects.create(task=task, started_at=at, succeeded_at=at)
    PeriodicTask.objects.update(last_run_at=at)


def _find_fee(api: Api) -> str:
    """Return the id of a line item that charges a recurring fee."""
    subscriptions = api.get("subscriptions")["items"]
    items = (item for subscription in subscriptions for item in subscription["line_items"])
    return str(next(item["id"] for item in items if item["price_type"] == "FIXED"))


def _end_commitment(api: Api, ids: SampleIds) -> None:
    api.post(f"subscriptions/{ids['subscription_id'][0]}/commitments/{ids['commitment_id'][0]}/end", {})


def _finalize_joint(api: Api, ids: SampleIds) -> None:
    """Subscribe the customer again from the same moment on, and finalize the joint invoice of both subscriptions."""
    first = api.get(f"subscriptions/{ids['subscription_id'][0]}")
    names = ("customer_id", "plan_id", "currency", "billing_period", "start_date")
    api.post("subscriptions", {name: first[name] for name in names}, 201)
    joint = api.get(f"joint-invoices/{ids['joint_invoice_id'][0]}")
    api.post(f"invoices/{joint['sections'][0]['invoice_id']}/finalize")


LINE_ITEM = Case(path_ids=lambda api: {"line_item_id": _find_fee(api)})
PAUSED = Case(prepare=lambda api, ids: api.post(f"subscriptions/{ids['subscription_id'][0]}/pause", {}))
MODIFIED = Case(fields=lambda api: {"id": _find_fee(api)})
CASES = {
    "updateSubscriptionLineItem": LINE_ITEM,
    "deleteSubscriptionLineItem": LINE_ITEM,
    "executeSubscriptionModify": MODIFIED,
    "previewSubscriptionModify": MODIFIED,
    "getSystem": Case(prepare=lambda api, ids: _let_all_run()),
    "approveApproval": Case(prepare=lambda api, ids: _decide_as("ben")),
    "rejectApproval": Case(prepare=lambda api, ids: _decide_as("ben")),
    "withdrawApproval": Case(prepare=lambda api, ids: _decide_as("mia")),
    "createCustomer": Case(is_first=True),
    "createPlan": Case(is_first=True),
    "createAddon": Case(is_first=True),
    "createCoupon": Case(is_first=True),
    "updateCustomer": Case("external_customer_id=acme"),
    "getCustomerStatement": Case("from_date=2026-03-01&to_date=2026-04-30"),
    "getCustomerMonthComparison": Case("month=2026-04"),
    "getCustomerUsageSummary": Case("customer_lookup_key=acme"),
    "getCustomerWallets": Case("lookup_key=acme"),
    "getEvent": Case("id=api.calls-acme"),
    "getProblemsAtRisk": Case("reason=unknown_customer&external_customer_id=nobody"),
    "getInvoicePdf": Case("url=true"),
    "createEntitlement": Case(fields=_make_other_feature),
    "createEntitlementsBulk": Case(fields=_make_other_feature),
    "payJointInvoice": Case(prepare=_finalize_joint),
    "publishPlan": Case(prepare=lambda api, ids: api.post(f"plans/{ids['plan_id'][0]}/versions", {})),
    "createSubscriptionCommitment": Case(prepare=_end_commitment),
    "publishAddon": Case(prepare=lambda api, ids: api.post(f"addons/{ids['addon_id'][0]}/versions", {})),
    "resumeSubscription": PAUSED,
    "previewSubscriptionResume": PAUSED,
    "settleInvoiceDifference": Case(prepare=lambda api, ids: api.put("company", {"write_off_limit": "1.00"})),
    "listBackups": Case(prepare=lambda api, ids: _make_backup()),
    "listSealedParts": Case(prepare=lambda api, ids: _make_sealed_part()),
    "listSelfTests": Case(prepare=lambda api, ids: _make_self_test()),
    "exportCustomerPersonalData": Case(path_ids=_make_former_customer),
    "getCustomerErasure": Case(path_ids=_make_former_customer),
    "eraseCustomerPersonalData": Case(path_ids=_make_former_customer),
    "listSignIns": Case(prepare=lambda api, ids: _make_sign_in()),
    "reopenMonth": Case(prepare=lambda api, ids: api.post(f"month-ends/{ids['month'][0]}/close", {})),
    "debitWallet": Case(
        prepare=lambda api, ids: api.post(
            f"wallets/{ids['wallet_id'][0]}/top-up",
            {"transaction_reason": "FREE_CREDIT_GRANT", "credits_to_add": "50"},
        )
    ),
}


def collect_examples(api: Api) -> dict[str, Any]:
    """Call every operation, send every webhook, and return the responses and webhooks, the same each time."""
    caches["figures"].clear()
    first = dict(_list_responses(api, {}, is_first=True))
    api.post("webhooks", {"url": "https://example.com/hooks"}, 201)
    ids, draft = _make_company(api)
    answers = dict(_list_responses(api, ids, is_first=False)) | first
    trigger_all_webhooks(api, ids, draft)
    newest_first = WebhookMessage.objects.order_by("-pk")
    messages = {row.event_type: json.loads(row.body) for row in newest_first}  # keeps the oldest of each kind
    examples = {"answers": dict(sorted(answers.items())), "messages": dict(sorted(messages.items()))}
    return _normalize(examples)


def _make_company(api: Api) -> tuple[SampleIds, Invoice]:
    """Make the company and an invoice for a month of usage; return the ids and a draft."""
    ids = make_sample_company(api)
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
    run = BillingRun.objects.get(public_id=ids["run_id"][0])
    for chunk_id in unfinished_chunks(run):
        dry_run_chunk(chunk_id, now=NOW)
    run_to_end(as_of=APRIL)
    simulate_to_end(Simulation.objects.get(public_id=ids["simulation_id"][0]), now=NOW)
    month = Invoice.objects.filter(kind="cycle").latest("period_start")
    api.post(f"invoices/{month.public_id}/finalize")
    ids["invoice_id"].insert(0, month.public_id)
    ids["line_id"].insert(0, month.lines.get(kind="usage").public_id)
    return ids, Invoice.objects.get(kind="opening")


def _list_responses(api: Api, ids: SampleIds, *, is_first: bool) -> Iterator[tuple[str, Any]]:
    for path, method, operation in list_operations():
        case = CASES.get(operation["operationId"], Case())
        if case.is_first == is_first and (statuses := list_shown_statuses(operation)):
            response = _call(api, ids, case, path, method, operation)
            yield operation["operationId"], dict.fromkeys(statuses, response)


def list_shown_statuses(operation: Any) -> list[str]:
    """Return the statuses of success with a JSON body, without that of waiting for approval beside another."""
    responses = operation["responses"].items()
    statuses = [status for status, response in responses if status < "300" and JSON in response.get("content", {})]
    return [status for status in statuses if status != "202" or len(statuses) == 1]


def _call(api: Api, ids: SampleIds, case: Case, path: str, method: str, operation: Any) -> Any:
    """Send an operation's example with the ids of existing objects, until one of the combinations is accepted."""
    example = get_example(operation)
    refusals = []
    for chosen_ids in list_combinations(ids, path, example):
        with transaction.atomic():
            if case.prepare is not None:
                case.prepare(api, ids)
            body = replace_ids(example, chosen_ids | (case.fields(api) if case.fields else {}))
            address = path.format(**chosen_ids | (case.path_ids(api) if case.path_ids else {}))
            content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
            response = api.client.generic(method.upper(), f"{address}?{case.query}", **content)
            text = response.getvalue().decode()
            transaction.set_rollback(True)
        clear_key_cache()
        if str(response.status_code) in operation["responses"] and response.status_code < 300:
            return json.loads(text)
        refusals.append(text)
    raise AssertionError(f"{operation['operationId']} has no accepted request: {refusals}")


def list_combinations(ids: SampleIds, path: str, example: Any) -> Iterator[dict[str, str]]:
    names = [name for name in ids if f"{{{name}}}" in path or f'"{name}"' in json.dumps(example)]
    for values in product(*(ids[name][:-1] for name in names)):
        yield dict(zip(names, values, strict=True))


def replace_ids(body: Any, chosen_ids: dict[str, Any]) -> Any:
    if isinstance(body, list):
        return [replace_ids(item, chosen_ids) for item in body]
    if not isinstance(body, dict):
        return body
    return {
        name: ([chosen_ids[name]] if isinstance(value, list) else chosen_ids[name])
        if name in chosen_ids and not isinstance(value, dict)
        else replace_ids(value, chosen_ids)
        for name, value in body.items()
    }


def _normalize(examples: dict[str, Any]) -> dict[str, Any]:
    """Replace ids by their order, and times of the database's clock by NOW."""
    known: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        digits = hashlib.sha256(f"{match[1]}{len(known)}".encode()).hexdigest()[:24]
        return known.setdefault(match[0], f"{match[1]}_{digits}")

    def number(example: object) -> Any:
        numbers: dict[str, str] = {}  # of one example: two tables may have equal ids
        text = KEY.sub(
            lambda match: match[1] + numbers.setdefault(match[2], f"{len(numbers) + 1}"), json.dumps(example)
        )
        return json.loads(text)

    def move(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(match[0])
        at = at if at.tzinfo else at.replace(tzinfo=UTC)  # the change log writes UTC without saying so
        return f"{NOW:%Y-%m-%dT%H:%M:%SZ}" if abs(at - datetime.now(UTC)) < timedelta(days=1) else match[0]

    text = json.dumps(examples).replace("http://testserver/", "https://billing.example.com/")
    text = SECRET.sub("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", TOKEN.sub("/documents/eyJpbnZvaWNlIjoi", text))
    text = SIGNED.sub(r"\1nFg0MXdBNHZ2cm1jZ3Jl", text)
    text = DIGEST.sub("9b" * 32, text)
    text = API_KEY.sub(lambda match: "sk_EXAMPLE_00" + "0" * len(match[1]), NAME.sub("000001", text))
    parts = json.loads(MOMENT.sub(move, ID.sub(rename, text)))
    parts["answers"]["getSystem"]["200"] |= MEASURED
    return {part: {name: number(example) for name, example in parts[part].items()} for part in parts}
