"""Import customers from a CSV or Excel file: create new customers and update those with a known external customer ID.

The list's export and the import share `COLUMNS`, so an exported file can be edited and imported again.
"""

import re
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from import_export.fields import Field
from import_export.formats.base_formats import CSV
from import_export.resources import ModelResource
from import_export.widgets import Widget
from tablib import Dataset

from config.office.files import Column, unguard_formula
from customers.accounts import save_customer
from customers.models import Customer

COLUMNS = {
    "external_id": "External customer ID",
    "name": "Name",
    "email": "Email",
    "email_to": "Send emails to",
    "email_cc": "Copies to",
    "receives_email": "Send emails",
    "contact": "Contact",
    "currency": "Currency",
    "timezone": "Time zone",
    "net_days": "Net days",
    "tax_id": "Tax ID",
    "tax_treatment": "Tax treatment",
    "tax_note": "Tax note",
    "address_line1": "Address line 1",
    "address_line2": "Address line 2",
    "address_postal_code": "Postal code",
    "address_city": "City",
    "address_state": "State or region",
    "address_country": "Country",
    "einvoice_format": "Electronic invoice",
    "buyer_reference": "Buyer reference",
    "peppol_id": "Electronic address",
    "untaxed_category": "Reason without tax",
}
# Exported for reading only: an import leaves these columns out.
CALCULATED_COLUMNS: tuple[Column, ...] = (
    ("Billing currency", "billing_currency"),
    ("Running subscriptions", "running_count"),
    ("Status", lambda customer: customer.get_state_display()),
    ("ID", "public_id"),
    ("Created at (UTC)", "created_at"),
)
WRITTEN: dict[str, Callable[[Customer], str]] = {
    "email_to": lambda customer: ", ".join(customer.email_to),
    "email_cc": lambda customer: ", ".join(customer.email_cc),
    "receives_email": lambda customer: "yes" if customer.receives_email else "no",
}
EXPORTED: tuple[Column, ...] = (
    *((heading, WRITTEN.get(field, field)) for field, heading in COLUMNS.items()),
    *CALCULATED_COLUMNS,
)
YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
SEPARATORS = ",;\t|"
QUOTED = re.compile(r'"[^"]*"')
SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n")


class AnyCsv(CSV):
    """A CSV file as spreadsheets save it: any usual separator, in UTF-8, UTF-16 or Windows' Western encoding."""

    def create_dataset(self, in_stream: bytes, **kwargs: Any) -> Any:
        text = decode(in_stream)
        stated = SEPARATOR_LINE.match(text)
        text = text[stated.end() :] if stated else text
        dataset = super().create_dataset(text, delimiter=stated[1] if stated else find_separator(text), **kwargs)
        return Dataset(*(map(unguard_formula, row) for row in dataset), headers=dataset.headers)

    def is_binary(self) -> bool:
        return True

    def get_read_mode(self) -> str:
        return "rb"


class AddressesWidget(Widget):
    """Email addresses in one cell, separated by commas, semicolons or line breaks."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> list[str]:
        return [address for part in re.split("[,;\n]", str(value or "")) if (address := part.strip())]

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return ", ".join(value or ())


class YesOrNoWidget(Widget):
    """Yes or no; a blank cell is yes, as for a new customer. Another text is refused, because it may mean either."""

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> bool:
        text = str("yes" if value is None else value).strip().lower() or "yes"
        if text not in YES_OR_NO:
            raise ValueError(f"“{value}” is neither yes nor no.")
        return YES_OR_NO[text]

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> str:
        return "yes" if value else "no"


class CustomerRows(ModelResource):
    """One customer per row, validated as on the customer's page. One invalid row rejects the file."""

    email_to = Field("email_to", "email_to", AddressesWidget())
    email_cc = Field("email_cc", "email_cc", AddressesWidget())
    receives_email = Field("receives_email", "receives_email", YesOrNoWidget())

    class Meta:
        model = Customer
        import_id_fields = ("external_id",)
        fields = tuple(COLUMNS)
        skip_unchanged = True
        report_skipped = True
        clean_model_instances = True
        use_transactions = True

    def __init__(self, by: User | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by = by

    def before_import(self, dataset: Any, **kwargs: Any) -> None:
        """Name the columns by their fields. Raises ValidationError for unknown columns."""
        dataset.headers = field_names(dataset.headers or [])

    def after_import(self, dataset: Any, result: Any, **kwargs: Any) -> None:
        """Leave the sequence of the primary keys alone: files have no keys, and the application may not set it."""

    def do_instance_save(self, instance: Customer, is_create: bool) -> None:
        save_customer(instance, by=self.by, reason="Imported from a file")


def decode(content: bytes) -> str:
    """Decode a text file by its mark, else as UTF-8, else as Windows' Western encoding, in which Excel saves CSV."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def find_separator(text: str) -> str:
    """Return the separator that comes most often in the first line, outside quotes.

    >>> find_separator('external_id;"Name, or company, as printed"')
    ';'
    """
    headings = QUOTED.sub("", text.partition("\n")[0])
    return max(SEPARATORS, key=headings.count)


def field_names(headings: list[str]) -> list[str]:
    """Return the field of each heading: the export's heading or the field's name, in any case and punctuation.

    Columns that are exported for reading only keep their heading, and the import leaves them out. Raises
    ValidationError, naming the columns, if some are unknown, named twice, or the external customer ID is missing.
    """
    by_heading = {_letters(name): field for field, heading in COLUMNS.items() for name in (field, heading)}
    calculated = {_letters(heading) for heading, _ in CALCULATED_COLUMNS}
    fields = [by_heading.get(_letters(heading or ""), heading or "") for heading in headings]
    unknown = [name for name in fields if name and name not in COLUMNS and _letters(name) not in calculated]
    if unknown:
        raise ValidationError(
            f"Unknown columns: {', '.join(unknown)}. The columns are {', '.join(COLUMNS.values())}. "
            "Rename or remove the others."
        )
    if "external_id" not in fields:
        raise ValidationError("The file has no column External customer ID, which says which customer a row is about.")
    if twice := sorted({name for name in fields if name in COLUMNS and fields.count(name) > 1}):
        raise ValidationError(f"These columns come twice: {', '.join(COLUMNS[name] for name in twice)}.")
    return fields


def _letters(heading: str) -> str:
    """Reduce a heading to its letters and digits, so that "Time zone", "time_zone" and "timezone" are the same."""
    return "".join(filter(str.isalnum, heading.casefold()))
