"""The table of the official SDK's operations in docs/api.md, and their answers as the SDK reads them."""

import os
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.scenarios.sdk_operations import SdkOperation, get_response, list_routes, list_sdk_operations

DOCS = Path(settings.BASE_DIR) / "docs" / "api.md"
START, END = "<!-- The test of the SDK's operations writes this table. -->\n", "<!-- The end of the table. -->\n"
OPERATIONS = list_sdk_operations()
ANSWERED = [operation for operation in OPERATIONS if operation.route in list_routes()]

# Why the operations of a group, or a single one, have no endpoint.
REASONS = {
    "activity": "The change log is in the admin.",
    "addons.sync_addon_prices": "A subscription keeps the version of its add-on until the add-on is removed.",
    "alerts": "Alerts are sent as webhooks; `GET /webhook-deliveries` lists them.",
    "analytics": "Usage has `events/analytics`; revenue has the month-end report.",
    "checkout": "Countinghouse doesn't collect payments.",
    "costs": "Costs of the provider aren't recorded.",
    "credit_grants": "Plans don't grant credit. Top up a wallet instead.",
    "environments": "An installation is one environment.",
    "fx_rates": "Amounts aren't converted between currencies.",
    "groups": "Features aren't grouped.",
    "integrations": "Other systems connect through webhooks and the API.",
    "marketplace": "Marketplaces aren't supported.",
    "price_units": "Prices are in currencies.",
    "rbac": "Roles of staff are set in the admin; keys have scopes.",
    "scheduled_tasks": "Exports are in the admin, which also runs the schedules.",
    "selfbilling": "Countinghouse doesn't collect payments.",
    "tasks": "Exports and imports are in the admin.",
    "tenants": "An installation is one company; see `GET /company`.",
    "usage_records": "Usage is in `events/usage` and `events/analytics`.",
    "users": "Staff are managed in the admin.",
    "workflows": "Requests finish their work before they answer.",
    "customers.create_customer_portal_session": "There is no customer portal.",
    "customers.get_customer_upcoming_grants": "Plans don't grant credit.",
    "customers.list_customer_payment_methods": "Countinghouse doesn't collect payments.",
    "invoices.attempt_invoice_payment": "Countinghouse doesn't collect payments.",
    "invoices.trigger_invoice_comms_webhook": "Invoices are sent by email with `POST /v1/emails`.",
    "payments.process_payment": "Countinghouse doesn't collect payments.",
    "payments.update_payment": "A payment never changes. Reverse it and record another.",
    "plans.sync_plan_prices": "A subscription keeps its plan version until its plan is changed.",
    "refunds.retry_refund": "Refunds are paid outside of Countinghouse.",
    "subscriptions.activate_subscription": "There are no draft subscriptions.",
    "subscriptions.get_subscription_upcoming_grants": "Plans don't grant credit.",
    "subscriptions.execute_subscription_plan_change_v2": "Use `change/execute`.",
    "subscriptions.preview_subscription_plan_change_v2": "Use `change/preview`.",
}


def reason_of(operation: SdkOperation) -> str:
    """Return why an operation has no endpoint, or an empty string."""
    return REASONS.get(f"{operation.group}.{operation.name}") or REASONS.get(operation.group, "")


def write_table() -> str:
    """Write a row for each group of operations that answer, and for each reason why others don't."""
    rows = ["| group | answers | has no endpoint | why |", "|---|---|---|---|"]
    for group, operations in groupby(OPERATIONS, key=lambda operation: operation.group):
        rows += _rows_of(group, list(operations))
    return "\n".join(rows) + "\n"


def _rows_of(group: str, operations: list[SdkOperation]) -> list[str]:
    answered = ", ".join(f"`{operation.name}`" for operation in operations if operation in ANSWERED)
    rows = [f"| `{group}` | {answered} | | |"] if answered else []
    missing: dict[str, list[str]] = {}
    for operation in operations:
        if operation not in ANSWERED:
            missing.setdefault(reason_of(operation), []).append(f"`{operation.name}`")
    return [*rows, *(f"| `{group}` | | {', '.join(names)} | {reason} |" for reason, names in missing.items())]


def test_the_docs_have_the_table_of_the_sdks_operations():
    before, start, rest = DOCS.read_text().partition(START)
    table, end, after = rest.partition(END)
    assert start, "docs/api.md has no place for the table."
    assert end, "docs/api.md has no place for the table."
    if os.environ.get("WRITE_EXAMPLES"):
        DOCS.write_text(before + start + write_table() + end + after)
        return
    assert table == write_table(), "Run `make examples` and review the changes."


def test_every_operation_without_endpoint_has_a_reason():
    assert [f"{one.group}.{one.name}" for one in OPERATIONS if one not in ANSWERED and not reason_of(one)] == []


def test_no_reason_is_left_of_an_operation_that_answers():
    named = {f"{one.group}.{one.name}" for one in ANSWERED}
    assert named & REASONS.keys() == set()
    assert {one.group for one in ANSWERED} & REASONS.keys() == set()


@pytest.mark.parametrize("operation", ANSWERED, ids=lambda operation: f"{operation.group}.{operation.name}")
def test_an_answer_has_the_status_and_the_types_that_the_sdk_expects(operation: SdkOperation):
    described: Any = list_routes()[operation.route]
    assert operation.status in described["responses"]
    content = get_response(described, operation.status)
    if content is not None:
        operation.parse(content["example"])
