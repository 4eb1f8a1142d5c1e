"""The API's OpenAPI schema, and a sample company with an object of every kind in the schema."""

from base64 import b64encode
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils import timezone
from jsonschema_rs import Draft202012Validator

from billing.models import (
    Email,
    Invoice,
    ProofDifference,
    ProofResult,
    ProofRun,
    Reminder,
    ReminderSchedule,
    Wallet,
)
from billing.runs.billing_run import run_to_end
from billing.settlement.wallets import grant_credit
from catalog.models import Price
from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding, raise_alarm
from config.api.schema import load_schema
from config.approvals.kinds import ApprovalKind
from config.approvals.models import Approval, ApprovalRule
from customers.models import Subscription
from events.fixing.runs import start_run
from events.ledger.processing import process_batch
from events.models.operations import MendingKind
from tests.api import Api
from tests.approving import requested, require
from tests.billing.late import make_late_adjustment
from tests.factories import START, make_user

JSON = "application/json"
type SampleIds = dict[str, list[str]]  # the sample company's ids by names of parameters and fields


def list_operations() -> list[tuple[str, str, Any]]:
    """List every operation with its path and method."""
    return [
        (path, method, operation)
        for path, methods in load_schema()["paths"].items()
        for method, operation in methods.items()
    ]


# The schema has no bodies of DELETE.
BODIES_OF_DELETIONS = {
    "removeSubscriptionAddon": {"addon_association_id": "subaddon_1", "change_at": "end_of_period"},
}


def get_example(operation: Any) -> Any:
    """Return the first example of an operation's body, or None."""
    if operation["operationId"] in BODIES_OF_DELETIONS:
        return BODIES_OF_DELETIONS[operation["operationId"]]
    body = operation.get("requestBody")
    examples = list(body["content"][JSON].get("examples", {}).values()) if body else []
    return examples[0]["value"] if examples else None


def find_violations(body: Any, schema: Any) -> list[str]:
    """List the errors of a body against a part of the schema."""
    validator = Draft202012Validator(schema | {"components": load_schema()["components"]}, validate_formats=True)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(body)]


def make_sample_company(api: Api) -> SampleIds:
    """Make a company with an object of every kind through the API, and return the ids of its objects."""
    customer = api.post("customers", {"external_id": "acme", "name": "Acme Ltd", "joins_invoices": True}, 201)
    meter = {"event_name": "api.calls", "aggregation": {"type": "COUNT"}, "reset_usage": "BILLING_PERIOD"}
    feature = api.post("features", {"name": "Calls", "type": "metered", "lookup_key": "calls", "meter": meter}, 201)
    plan = api.post("plans", {"name": "Growth", "lookup_key": "growth"}, 201)
    monthly = {
        "entity_id": plan["id"], "entity_type": "PLAN", "currency": "usd", "billing_period": "MONTHLY",
        "billing_period_count": 1, "price_unit_type": "FIAT",
    }  # fmt: skip
    fee = {"type": "FIXED", "billing_model": "FLAT_FEE", "invoice_cadence": "ADVANCE", "amount": "49"}
    usage = {"type": "USAGE", "billing_model": "FLAT_FEE", "invoice_cadence": "ARREAR", "amount": "0.5"}
    price = api.post("prices", monthly | fee, 201)
    api.post("prices", monthly | usage | {"meter_id": feature["meter_id"], "lookup_key": "calls"}, 201)
    free = {"plan_id": plan["id"], "feature_id": feature["id"], "feature_type": "metered", "usage_limit": 10}
    entitlement = api.post("entitlements", free, 201)
    subscription = api.post(
        "subscriptions",
        {
            "external_customer_id": "acme", "plan_id": plan["id"], "currency": "USD", "billing_period": "MONTHLY",
            "start_date": START.isoformat(),
        },
        201,
    )  # fmt: skip
    for name, customer_key in (("api.calls", "acme"), ("api.calls", "nobody"), ("no.such", "acme")):
        api.post(
            "events",
            {"event_name": name, "external_customer_id": customer_key, "event_id": f"{name}-{customer_key}"},
            202,
        )
    process_batch()
    conflict = {"event_name": "api.calls", "external_customer_id": "acme", "event_id": "no.such-acme"}
    api.post("events", conflict | {"source": "gateway"}, 202)
    process_batch()
    run_to_end(as_of=START)
    draft = api.get("invoices")["items"][0]
    late = make_late_adjustment(Subscription.objects.get(), Price.objects.get(feature__isnull=False))
    items = [{"display_name": "Setup", "quantity": "2", "unit_amount": "250"}]
    amounts = {"subtotal": "500.00", "total": "500.00", "amount_due": "500.00"}
    one_off = {"customer_id": customer["id"], "currency": "USD", "line_items": items} | amounts
    invoice = api.post("invoices", one_off, 201)
    api.post(f"invoices/{invoice['id']}/finalize")
    one_off_draft = api.post("invoices", one_off, 201)
    payment_body = {
        "amount": "40.00", "currency": "USD", "destination_type": "INVOICE", "destination_id": invoice["id"],
        "payment_method_type": "BANK_TRANSFER",
    }  # fmt: skip
    payment = api.post("payments", payment_body, 201)
    small = {"subtotal": "10.00", "total": "10.00", "amount_due": "10.00"}
    paid = api.post("invoices", {"customer_id": customer["id"], "currency": "USD", "line_items": []} | small, 201)
    api.post(f"invoices/{paid['id']}/finalize")
    more = {"amount": "30.00", "destination_id": paid["id"], "overpayment": "unapplied"}
    overpaid = api.post("payments", payment_body | more, 201)
    line = invoice["line_items"][0]["id"]
    lines = [{"invoice_line_item_id": line, "amount": "10.00"}]
    note = api.post("creditnotes", {"invoice_id": invoice["id"], "reason": "BILLING_ERROR", "line_items": lines}, 201)
    refund = make_refund(api, customer["id"])
    alias = api.post("event-names/aliases", {"alias": "api.call", "event_name": "api.calls"})["alias"]
    coupon_in = {"name": "Summer", "coupon_code": "SUMMER26", "type": "percentage", "percentage_off": "25"}
    coupon = api.post("coupons", coupon_in | {"cadence": "forever"}, 201)
    discount = api.post("coupons/associations", {"coupon_code": "SUMMER26", "external_customer_id": "acme"}, 201)
    rate = api.post("taxes/rates", {"code": "VAT-DE", "name": "VAT", "percentage_value": "19"}, 201)
    taxed = {"tax_rate_code": "VAT-DE", "entity_type": "customer", "external_customer_id": "acme"}
    tax = api.post("taxes/associations", taxed)
    wallet = api.post("wallets", {"external_customer_id": "acme", "currency": "USD", "initial_credits_to_load": "9"})
    run = api.post("runs", {"dry_run": True}, 202)
    simulation = api.post("simulations", {"periods": 3, "limit_percent": "20"}, 202)
    watched = {"subscription_id": subscription["id"], "feature_id": feature["id"], "threshold": "10"}
    alert = api.post("alerts", watched, 201)
    endpoint = api.post("webhooks", {"url": "https://example.com/hooks"}, 201)
    delivery = api.post(f"webhooks/{endpoint['id']}/test", status=201)
    key = api.post("secrets/api/keys", {"name": "Reports", "scopes": ["read"]}, 201)["secret"]
    series = api.post("number-series", {"name": "US invoices", "prefix": "US-"}, 201)
    fix = {"reason": "unknown_customer", "external_customer_id": "nobody"}
    fix_run = start_run(MendingKind.REPLAY, "replay_cause", fix, title="Replay", now=START, by=None)
    later = {"pause_mode": "scheduled", "pause_start": "2031-01-01T00:00:00Z"}
    api.post(f"subscriptions/{subscription['id']}/pause", later)
    (schedule,) = api.get("subscriptions/schedules")["schedules"]
    committed = {"commitment_amount": "60", "enable_true_up": True}
    commitment = api.post(f"subscriptions/{subscription['id']}/commitments", committed, 201)
    addon = api.post("addons", {"name": "Support", "lookup_key": "support"}, 201)
    api.post("prices", monthly | fee | {"entity_id": addon["id"], "entity_type": "ADDON"}, 201)
    added = {"subscription_id": subscription["id"], "addon_id": addon["id"], "start_date": "2031-01-01T00:00:00Z"}
    association = api.post("subscriptions/addon", added)
    approval = make_approval(wallet["id"])
    email = api.post("emails", {"invoice_id": invoice["id"], "to": ["anna@example.com"]}, 201)
    Email.objects.update(state="sent", next_try_at=None, sent_at=timezone.now())
    pause = {"customer_id": customer["id"], "kind": "dispute", "reason": "Wrong hours"}
    reminder_pause = api.post("reminder-pauses", pause, 201)
    reminder_schedule = api.post("reminder-schedules", {"name": "Usual"}, 201)
    api.put(f"customers/{customer['id']}/reminder-schedule", {"reminder_schedule_id": reminder_schedule["id"]})
    reminder = Reminder.objects.create(
        invoice=Invoice.objects.get(public_id=invoice["id"]),
        schedule=ReminderSchedule.objects.get(),
        days=30,
        taken_on=date(2026, 4, 1),
        amount=Decimal(5),
        needs_person=True,
    )
    bank_file = {"file_name": "march.csv", "content": b64encode(BANK_FILE).decode(), "columns": BANK_COLUMNS}
    api.post("bank-imports", bank_file, 201)
    (bank_entry,) = api.get("bank-entries")["items"]
    alarm = raise_alarm(DISK_LOW, now=timezone.now())
    ids = {
        "email_id": [email["id"]], "email_kind": ["invoice"],
        "reminder_id": [reminder.public_id], "reminder_pause_id": [reminder_pause["id"]],
        "reminder_schedule_id": [reminder_schedule["id"]],
        "bank_entry_id": [bank_entry["id"]],
        "alarm_id": [alarm.public_id], "proof_id": [make_proof().public_id],
        "approval_id": [approval.public_id], "rule": ["void"],
        "customer_id": [customer["id"]], "external_id": ["acme"], "external_customer_id": ["acme", "nobody"],
        "feature_id": [feature["id"]], "meter_id": [feature["meter_id"]], "feature_ids": [feature["id"]],
        "plan_id": [plan["id"]], "target_plan_id": [plan["id"]], "plan_ids": [plan["id"]],
        "price_id": [price["id"]], "key": ["calls"], "entitlement_id": [entitlement["id"]],
        "subscription_id": [subscription["id"]], "commitment_id": [commitment["id"]],
        "addon_id": [addon["id"]], "addon_key": ["support"], "addon_association_id": [association["id"]],
        "line_item_id": [item["id"] for item in subscription["line_items"] if item["price_type"] == "FIXED"],
        "entity_id": [plan["id"], customer["id"], subscription["id"], feature["id"]],
        "parent_entity_id": [subscription["id"]],
        "invoice_id": [draft["id"], invoice["id"], one_off_draft["id"]],
        "joint_invoice_id": [draft["joint_invoice_id"]],
        "line_id": [draft["line_items"][0]["id"], line],
        "invoice_line_item_id": [line], "destination_id": [invoice["id"], customer["id"]],
        "payment_id": [payment["id"], overpaid["id"]],
        "refund_id": [refund["id"]], "event_name_alias": [alias],
        "credit_note_id": [note["id"], refund["credit_note_id"]],
        "coupon_id": [coupon["id"]], "coupon_code": ["SUMMER26"],
        "code": ["SUMMER26", "VAT-DE"], "association_id": [discount["id"], tax["id"]], "rate_id": [rate["id"]],
        "tax_rate_code": ["VAT-DE"], "wallet_id": [wallet["id"]], "run_id": [run["id"]],
        "simulation_id": [simulation["id"]], "alert_id": [alert["id"]],
        "key_id": [key["id"]], "month": ["2026-03"], "series_id": [series["id"]],
        "subscription_ids": [subscription["id"]], "fix_run_id": [str(fix_run.pk)],
        "late_adjustment_ids": [late.public_id],
        "invoice_ids": [draft["id"]], "endpoint_id": [endpoint["id"]], "delivery_id": [delivery["id"]],
        "late_adjustment_id": [late.public_id], "schedule_id": [schedule["id"]],
        "event_name": ["api.calls", "no.such"], "event_id": ["api.calls-acme"], "event_ids": ["api.calls-acme"],
    }  # fmt: skip
    return {name: [*values, "none"] for name, values in ids.items()}


BANK_FILE = b"Date;Amount;Name;Text\n2026-03-02;49.00;Acme Ltd;Thanks for March\n"
BANK_COLUMNS = {"date": "Date", "amount": "Amount", "payer_name": "Name", "text": "Text", "default_currency": "USD"}
DISK_LOW = Finding(
    AlarmKind.DISK_LOW,
    "The disk of app-1 has 1 GB left.",
    "Delete files, or extend the disk.",
    about="app-1",
)


def make_proof() -> ProofRun:
    """Make the finished proofs of a night, in which the amount of a line differs."""
    now = timezone.now()
    run = ProofRun.objects.create(is_nightly=True, started_at=now, finished_at=now)
    scope = "Lines of invoices: September 2026, October 2026, November 2026; part 13 of 30 of everything older"
    result = ProofResult.objects.create(
        run=run, kind="lines", scope=scope, checked=2_314, waiting=2, differing=1, seconds=41.5, finished_at=now
    )
    figures = {"figure": "Amount", "stated": "12.00", "calculated": "10.00"}
    ProofDifference.objects.create(
        result=result, subject="line", subject_id=1, name="INV-000042 · Calls, 1–30 Sep 2026", **figures
    )
    return run


def make_approval(wallet_id: str) -> Approval:
    """Request the approval of credit in the name of a colleague. The rule is switched off again."""
    mia = make_user(username="mia", first_name="Mia", last_name="Chen", is_superuser=True)
    make_user(username="ben", first_name="Ben", last_name="Ortiz", is_superuser=True)
    require(ApprovalKind.CREDIT)
    wallet, terms = Wallet.objects.get(public_id=wallet_id), {"kind": "promotional", "reason": "Outage of 28 February"}
    now = timezone.now()
    approval = requested(lambda: grant_credit(wallet, Decimal(250), now=now, by=mia, **terms), now=now)
    ApprovalRule.objects.update(mode="off")
    return approval


def make_refund(api: Api, customer_id: str) -> Any:
    """Make a paid one-off invoice of $20, credit $5 of it, and refund $3; return the refund."""
    item = {"display_name": "Training", "amount": "20.00"}
    body = {"customer_id": customer_id, "currency": "USD", "line_items": [item], "subtotal": "20.00"}
    invoice = api.post("invoices", body | {"invoice_status": "FINALIZED"}, 201)
    api.put(f"invoices/{invoice['id']}/payment", {"payment_status": "SUCCEEDED"})
    line = {"invoice_line_item_id": invoice["line_items"][0]["id"], "amount": "5.00"}
    note_in = {"invoice_id": invoice["id"], "reason": "BILLING_ERROR", "line_items": [line], "refund_to": "outside"}
    note = api.post("creditnotes", note_in | {"process_credit_note": True}, 201)
    return api.post(f"creditnotes/{note['id']}/refund", {"amount": "3.00", "reason": "Billed twice"}, 201)


def make_electronic_company(api: Api) -> SampleIds:
    """Make the sample company with an electronic invoice and its credit note. They aren't in the schema's examples."""
    ids = make_sample_company(api)
    api.put("company", {"name": "Larkspur GmbH", "address_country": "DE", "tax_id": "VAT DE136695976"})
    taxed = {"einvoice_format": "factur_x", "tax_rate_overrides": [{"tax_rate_code": "VAT-DE"}]}
    buyer = {"external_id": "city", "name": "City Hall", "address_country": "DE"}
    customer = api.post("customers", buyer | taxed, 201)
    item = {"display_name": "Training", "amount": "20.00"}
    body = {"customer_id": customer["id"], "currency": "USD", "line_items": [item], "subtotal": "20.00"}
    invoice = api.post("invoices", body | {"invoice_status": "FINALIZED"}, 201)
    line = {"invoice_line_item_id": invoice["line_items"][0]["id"], "amount": "5.00"}
    note_in = {"invoice_id": invoice["id"], "reason": "BILLING_ERROR", "line_items": [line]}
    note = api.post("creditnotes", note_in | {"process_credit_note": True}, 201)
    added = {"invoice_id": [invoice["id"]], "credit_note_id": [note["id"]]}
    return ids | {name: [*values, *ids[name]] for name, values in added.items()}


def narrow_schema(ids: SampleIds) -> dict[str, Any]:
    """Return the schema with the ids in requests limited to existing objects and one that doesn't exist."""
    schema = deepcopy(load_schema())
    for methods in schema["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                if parameter.get("name") in ids:
                    _narrow(parameter["schema"], ids[parameter["name"]])
    for name, component in schema["components"]["schemas"].items():
        if name.endswith("Request"):
            for field, field_schema in component.get("properties", {}).items():
                if field in ids:
                    _narrow(field_schema, ids[field])
    return schema


def _narrow(field_schema: dict[str, Any], values: list[str]) -> None:
    if field_schema.get("type") == "array":
        field_schema["items"] = {"type": "string", "enum": values}
    else:
        field_schema.clear()
        field_schema.update({"type": "string", "enum": values})
