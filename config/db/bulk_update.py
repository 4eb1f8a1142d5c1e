"""Update many rows with one UPDATE, without a CASE for every row and column as `bulk_update` has."""

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from django.db import connection, models


def update_in[Row: models.Model](rows: Sequence[Row], columns: Collection[str]) -> None:
    """Update the named columns (`series_id`, not `series`) of existing rows of one model.

    Constraints and triggers apply: `IntegrityError` if one fails, and nothing is updated. `save` isn't called and no
    signals are sent. A column with `auto_now` is set if it is named.
    """
    if not rows:
        return
    meta: Any = rows[0]._meta
    fields = [field for field in meta.concrete_fields if field.attname in columns]
    quote = connection.ops.quote_name
    table, key = quote(meta.db_table), quote(meta.pk.column)
    values = [{meta.pk.column: row.pk} | {field.column: field.pre_save(row, False) for field in fields} for row in rows]
    sets = ", ".join(f"{quote(field.column)} = fresh.{quote(field.column)}" for field in fields)
    # The table defines the type of each column.
    fresh = f"json_populate_recordset(NULL::{table}, %s::json) AS fresh"
    statement = f"UPDATE {table} AS present SET {sets} FROM {fresh} WHERE present.{key} = fresh.{key}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [orjson.dumps(values, default=str).decode()])
