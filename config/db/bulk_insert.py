"""Insert many rows with one COPY, in a fraction of the time of `bulk_create`."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

from django.db import connection, models
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault

NULL = r"\N"
# Special characters of COPY's text format. The backslash is first, because the others add backslashes.
ESCAPES = (("\\", r"\\"), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"))


def copy_in[Row: models.Model](rows: Sequence[Row]) -> None:
    """Insert new rows of one model and set their primary keys, drawn from the table's sequence.

    As with `bulk_create`, defaults, constraints and triggers apply: `IntegrityError` if one fails, and nothing is
    inserted. `save` isn't called and no signals are sent. `ValueError` if only some rows leave a column to the
    database's default.
    """
    if not rows:
        return
    meta: Any = rows[0]._meta
    _draw_keys(meta, rows)
    fields = [field for field in meta.concrete_fields if not _is_left_to_database(field, rows)]
    columns = [_encoded_column(field, rows) for field in fields]
    names = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    block = "".join(["\t".join(row) + "\n" for row in zip(*columns, strict=True)])
    statement = f"COPY {connection.ops.quote_name(meta.db_table)} ({names}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.write(block.encode())
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def new_row[Row: models.Model](model: type[Row], columns: Mapping[str, Any]) -> Row:
    """Build an unsaved row from column values (`invoice_id`, not `invoice`); other columns get their defaults.

    `model(**columns)` takes twenty times as long: it looks up each name, sets each value through its descriptor, and
    sends signals.
    """
    constants, factories = _defaults(model)
    row = model.__new__(model)
    row.__dict__.update(constants, _state=ModelState(), **columns)
    for name, make_default in factories:
        if name not in columns:
            row.__dict__[name] = make_default()
    return row


@cache
def _defaults(model: type[models.Model]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """Return the columns' constant defaults, and the functions that make a default for each row."""
    fields = model._meta.concrete_fields
    factories = [(field.attname, field.get_default) for field in fields if callable(field.default)]
    names = {name for name, _ in factories}
    return {field.attname: field.get_default() for field in fields if field.attname not in names}, factories


def _draw_keys(meta: Any, rows: Sequence[models.Model]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
            [meta.db_table, meta.pk.column, len(rows)],
        )
        for row, (key,) in zip(rows, cursor.fetchall(), strict=True):
            row.pk = key


def _is_left_to_database(field: Any, rows: Sequence[models.Model]) -> bool:
    if not field.has_db_default():
        return False
    defaults = sum(isinstance(getattr(row, field.attname), DatabaseDefault) for row in rows)
    if 0 < defaults < len(rows):
        raise ValueError(f"{field} is set for some rows and not for others")
    return bool(defaults)


def _encoded_column(field: Any, rows: Sequence[models.Model]) -> Sequence[str]:
    values: list[Any] = list(map(attrgetter(field.attname), rows))
    if _sets_itself(field):
        values = [field.pre_save(row, True) for row in rows]
    encode = _encoder(field)
    # Many rows share an object, such as a period's start or None: each object is encoded once.
    objects = {id(value): value for value in values}
    texts = {key: NULL if value is None else encode(value) for key, value in objects.items()}
    return [texts[id(value)] for value in values]


def _sets_itself(field: Any) -> bool:
    if isinstance(field, models.DateField):
        return bool(field.auto_now or field.auto_now_add)
    return type(field).pre_save is not models.Field.pre_save


def _encoder(field: Any) -> Callable[[Any], str]:
    if isinstance(field, models.JSONField):
        encoder = json.JSONEncoder if field.encoder is None else field.encoder
        to_json = encoder(ensure_ascii=False).encode
        return lambda value: _escaped(to_json(value))
    if isinstance(field, models.CharField | models.TextField):
        return _escaped
    return str


def _escaped(text: str) -> str:
    for character, escaped in ESCAPES:
        if character in text:
            text = text.replace(character, escaped)
    return text
