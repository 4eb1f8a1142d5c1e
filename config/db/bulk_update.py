"""Change many rows with one UPDATE: what `bulk_update` writes, without a CASE for every row and column."""

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from django.db import connection, models


def update_in[Row: models.Model](rows: Sequence[Row], columns: Collection[str]) -> None:
    """Write the named columns (`series_id`, not `series`) of rows of one model that are in the database.

    Constraints and triggers hold: `IntegrityError` when one refuses, and then nothing is written. `save` isn't called
    and no signal sent; a column that sets itself (`auto_now`) is set when it is named.
    """
    if not rows:
        return
    meta: Any = rows[0]._meta
    fields = [field for field in meta.concrete_fields if field.attname in columns]
    quote = connection.ops.quote_name
    table, key = quote(meta.db_table), quote(meta.pk.column)
    given = [{meta.pk.column: row.pk} | {field.column: field.pre_save(row, False) for field in fields} for row in rows]
    sets = ", ".join(f"{quote(field.column)} = fresh.{quote(field.column)}" for field in fields)
    # The table itself says what type each column is read as.
    fresh = f"json_populate_recordset(NULL::{table}, %s::json) AS fresh"
    statement = f"UPDATE {table} AS present SET {sets} FROM {fresh} WHERE present.{key} = fresh.{key}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(statement, [orjson.dumps(given, default=str).decode()])
