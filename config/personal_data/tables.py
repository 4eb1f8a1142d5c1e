"""The list of all columns that can hold personal data of a customer, except those of events, logs and messages.

Exporting, erasing, previewing and the change log read this list. A new column with personal data needs a line here, and
nothing else. `docs/personal-data.md` explains the classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Model


class Erased(StrEnum):
    """What a column contains once it is erased, as SQL."""

    BLANK = "''"
    WORD = "CASE WHEN {column} = '' THEN '' ELSE 'Erased' END"  # where the table requires a text, or should show it
    NULL = "NULL"
    OBJECT = "'{{}}'::jsonb"
    LIST = "'{{}}'"
    ALIAS = "'erased-' || id"
    WALLET = "'Prepaid credit'"

    def sql(self, column: str) -> str:
        return self.value.format(column=column)


@dataclass(frozen=True, slots=True)
class PersonalTable:
    """Columns of a table with personal data, and the way from a row to its customer.

    `paths` lead to the customer, of which the first that isn't empty counts; an empty path is the customer itself. With
    `kept_from`, the law requires the columns to be kept for years after the end of that day's year. `is_named` tells
    that the text of a row, by which the change log names it, contains personal data.
    """

    label: str
    title: str
    columns: Mapping[str, Erased]
    paths: tuple[str, ...] = ("customer",)
    kept_from: str = ""
    is_named: bool = False


WORD, BLANK, OBJECT, LIST, NULL = Erased.WORD, Erased.BLANK, Erased.OBJECT, Erased.LIST, Erased.NULL
OF_SUBSCRIPTION, OF_INVOICE, OF_WALLET = ("subscription__customer",), ("invoice__customer",), ("wallet__customer",)

CUSTOMER = PersonalTable(
    "customers.customer",
    "Name, email, contact, address, tax ID and metadata of the customer",
    {
        "name": WORD,
        "email": BLANK,
        "email_to": LIST,
        "email_cc": LIST,
        "contact": BLANK,
        "address_line1": BLANK,
        "address_line2": BLANK,
        "address_city": BLANK,
        "address_state": BLANK,
        "address_postal_code": BLANK,
        "address_country": BLANK,
        "tax_id": BLANK,
        "tax_note": BLANK,
        "buyer_reference": BLANK,
        "peppol_id": BLANK,
        "metadata": OBJECT,
    },
    paths=("",),
    is_named=True,
)
ALIASES = PersonalTable("customers.customeralias", "Aliases", {"alias": Erased.ALIAS, "reason": WORD}, is_named=True)
AT_ONCE = (
    PersonalTable(
        "customers.subscription",
        "Subscriptions: lookup key, metadata",
        {"key": NULL, "metadata": OBJECT},
        is_named=True,
    ),
    PersonalTable(
        "customers.subscriptionphase", "Reasons of changes of subscriptions", {"reason": WORD}, OF_SUBSCRIPTION
    ),
    PersonalTable(
        "customers.subscriptionaddon",
        "Add-ons of subscriptions: reason, metadata",
        {"reason": WORD, "metadata": OBJECT},
        OF_SUBSCRIPTION,
        is_named=True,
    ),
    PersonalTable("billing.invoice", "Metadata of invoices", {"metadata": OBJECT, "hold_reason": WORD}),
    PersonalTable("billing.creditnote", "Metadata of credit notes", {"metadata": OBJECT}),
    PersonalTable(
        "billing.wallet",
        "Wallets: name, description, metadata",
        {"name": Erased.WALLET, "description": BLANK, "metadata": OBJECT},
        is_named=True,
    ),
    PersonalTable(
        "billing.creditgrant",
        "Granted credit: reason, reference, metadata",
        {"reason": WORD, "reference": NULL, "metadata": OBJECT},
        OF_WALLET,
    ),
    PersonalTable("billing.walletentry", "Reasons of credit transactions", {"reason": WORD}, OF_WALLET),
    PersonalTable(
        "billing.couponapplication",
        "Applied discounts: reason, metadata",
        {"reason": WORD, "metadata": OBJECT},
        is_named=True,
    ),
    PersonalTable(
        "billing.taxassignment",
        "Metadata of assigned taxes",
        {"metadata": OBJECT},
        ("customer", "subscription__customer"),
        is_named=True,
    ),
    PersonalTable(
        "billing.lateadjustment", "Reasons of decisions on late usage", {"reason": WORD}, OF_SUBSCRIPTION, is_named=True
    ),
    PersonalTable(
        "billing.email",
        "Emails: recipients, text, problems",
        {"to": LIST, "cc": LIST, "subject": WORD, "text": BLANK, "html": BLANK, "last_error": BLANK},
        is_named=True,
    ),
    PersonalTable(
        "billing.emailevent",
        "What became of emails: recipients, responses",
        {"recipient": BLANK, "detail": BLANK},
        ("email__customer",),
        is_named=True,
    ),
    PersonalTable(
        "billing.reminderpause", "Reasons why reminders are paused", {"reason": WORD}, ("customer",), is_named=True
    ),
    PersonalTable(
        "billing.reminder",
        "Reminders: how their tasks were handled",
        {"note": BLANK, "handled_reason": BLANK},
        OF_INVOICE,
        is_named=True,
    ),
    PersonalTable("billing.latecheck", "Problems of late usage", {"problem": WORD}, OF_SUBSCRIPTION),
    PersonalTable("billing.billingstate", "Reasons why billing stopped", {"parked_reason": WORD}, OF_SUBSCRIPTION),
    PersonalTable("billing.simulationinvoice", "Problems of simulations", {"problem": WORD}, OF_SUBSCRIPTION),
    PersonalTable("billing.runfinding", "Problems of billing runs", {"problem": WORD}, OF_SUBSCRIPTION),
)
KEPT = (
    PersonalTable(
        "billing.invoice",
        "Issued invoices",
        {
            "billed_to": OBJECT,
            "tax_note": BLANK,
            "memo": BLANK,
            "po_number": BLANK,
            "void_reason": WORD,
            "external_reference": NULL,
        },
        kept_from="issued_at",
    ),
    PersonalTable(
        "billing.invoiceline",
        "Lines of issued invoices",
        {"description": WORD},
        OF_INVOICE,
        kept_from="invoice__issued_at",
    ),
    PersonalTable(
        "billing.creditnote",
        "Credit notes",
        {"billed_to": OBJECT, "memo": BLANK, "void_reason": WORD},
        kept_from="created_at",
    ),
    PersonalTable(
        "billing.creditnoteline",
        "Lines of credit notes",
        {"description": WORD},
        ("credit_note__customer",),
        kept_from="credit_note__created_at",
    ),
    PersonalTable(
        "billing.einvoice",
        "Electronic invoices and credit notes",
        {"xml": BLANK},
        ("invoice__customer", "credit_note__customer"),
        kept_from="created_at",
    ),
    PersonalTable(
        "billing.payment",
        "Payments and refunds",
        {"reference": BLANK, "note": BLANK, "reason": WORD},
        kept_from="recorded_at",
        is_named=True,
    ),
    PersonalTable(
        "billing.bankentry",
        "Bank entries of payments",
        {"payer_name": WORD, "payer_iban": BLANK, "text": BLANK, "reference": BLANK},
        ("payment__customer",),
        kept_from="payment__recorded_at",
        is_named=True,
    ),
)
APPROVALS = PersonalTable(
    "config.approval",
    "Requests for approval",
    {
        "title": WORD,
        "effect": BLANK,
        "object_name": WORD,
        "inputs": OBJECT,
        "reason": WORD,
        "decision_reason": WORD,
        "outcome": WORD,
    },
    paths=(),
    is_named=True,
)
TABLES = (*AT_ONCE, *KEPT, APPROVALS, ALIASES, CUSTOMER)
ABOUT = ("billing.invoice", "billing.creditnote", "billing.payment", "billing.wallet", "customers.customer")


def columns_of(label: str) -> frozenset[str]:
    """Return the personal columns of a table, by its model's label in lower case; empty if it has none."""
    return _COLUMNS.get(label, frozenset())


def is_named(label: str) -> bool:
    """Tell whether the text of the table's rows contains personal data."""
    return label in _NAMED


def find_customer(row: Model) -> int | None:
    """Return the primary key of the customer that a row is about, if it can hold personal data."""
    if row._meta.label_lower == APPROVALS.label:
        return _find_customer_of_approval(row)
    for path in _PATHS.get(row._meta.label_lower, ()):
        if (customer := _follow(row, path)) is not None:
            return customer
    return None


def _find_customer_of_approval(approval: Any) -> int | None:
    model = approval.content_type.model_class() if approval.content_type else None
    paths = _PATHS.get(model._meta.label_lower, ()) if model else ()
    if model is None or not paths or not paths[0]:
        return approval.object_id if paths else None
    return model._base_manager.filter(pk=approval.object_id).values_list(paths[0], flat=True).first()  # type: ignore[no-any-return]


def _follow(row: Any, path: str) -> int | None:
    if not path:
        return int(row.pk)
    *steps, last = path.split("__")
    for step in steps:
        row = getattr(row, step)
        if row is None:
            return None
    return getattr(row, f"{last}_id")  # type: ignore[no-any-return]


_COLUMNS = {
    label: frozenset(column for table in TABLES if table.label == label for column in table.columns)
    for label in {table.label for table in TABLES}
}
_NAMED = {table.label for table in TABLES if table.is_named}
_PATHS = {table.label: table.paths for table in TABLES}
