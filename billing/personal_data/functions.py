"""The database functions that erase personal data, made from the list of personal columns after every `migrate`.

They belong to the owner of the tables, because the application can't change what is frozen. An attacker with the
application's role could use them, too, but they change only personal columns of a customer with an erasure, and never
documents that the law still requires.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection, transaction
from django.db.models import Model

from billing.models.company import DEFAULT_YEARS, LEAST_YEARS
from config.personal_data.tables import ABOUT, ALIASES, APPROVALS, CUSTOMER, TABLES, PersonalTable

EVENTS = Path(__file__).parent / "sql" / "events.sql"
LOCK = 7_301_131

EXISTS = """
    SELECT count(*) = 4 FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND (relname, attname) IN (
        ('config_personaldataerasure', 'replaces_external_id'), ('customers_customer', 'erased_at'),
        ('events_event', 'properties'), ('billing_companyprofile', 'retention_years')
    )
"""
# The external ids of a customer with an erasure.
NAMES = """
CREATE OR REPLACE FUNCTION kept_external_id(subject bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    kept text;
BEGIN
    SELECT CASE WHEN erasure.replaces_external_id THEN 'erased-' || customer.public_id ELSE customer.external_id END
    INTO kept
    FROM customers_customer AS customer
    JOIN config_personaldataerasure AS erasure ON erasure.customer_id = customer.id
    WHERE customer.id = subject AND customer.erased_at IS NOT NULL;
    IF kept IS NULL THEN
        RAISE EXCEPTION 'the personal data of customer % isn''t being erased', subject
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN kept;
END $$;
CREATE OR REPLACE FUNCTION known_external_ids(subject bigint) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT ARRAY(
        SELECT external_id::text FROM customers_customer WHERE id = subject
        UNION SELECT alias::text FROM customers_customeralias WHERE customer_id = subject
    )
$$;
"""
# The database's clock and the company's setting decide what the law still requires, not the caller. The setting's least
# value counts, even if someone writes a smaller one into the table.
ROWS = """
DROP FUNCTION IF EXISTS erase_personal_rows(text, bigint, timestamptz);
CREATE OR REPLACE FUNCTION erase_personal_rows(place text, subject bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp SET countinghouse.erasing = 'on' SET timezone = 'UTC' AS $$
DECLARE
    pseudonym text := kept_external_id(subject);
    years integer := GREATEST(
        COALESCE((SELECT max(retention_years) FROM billing_companyprofile), {default_years}), {least_years}
    );
    before timestamptz := date_trunc('year', now()) - make_interval(years => years);
    changed bigint;
BEGIN
    CASE place
    {cases}
    END CASE;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;
"""
UPDATE = "WHEN '{place}' THEN UPDATE {table} SET {assignments} WHERE ({condition}) AND ({differs});"


def place_of(table: PersonalTable) -> str:
    """Return the name of a part of the list: a table with kept columns is in it twice."""
    return f"{table.label}:kept" if table.kept_from else table.label


def install_functions(**kwargs: Any) -> None:
    """Create the functions, or replace those of an earlier release, as the owner. Called after every `migrate`.

    A `migrate` of single apps may end before the tables exist; then a later one creates the functions.
    """
    cases = "\n    ".join(_update_of(table) for table in TABLES)
    rows = ROWS.format(cases=cases, default_years=DEFAULT_YEARS, least_years=LEAST_YEARS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(EXISTS)
        if cursor.fetchone() != (True,):
            return
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        for text in (NAMES, EVENTS.read_text(), rows):
            cursor.execute(text)


def _update_of(table: PersonalTable) -> str:
    model = apps.get_model(table.label)
    values = {model._meta.get_field(name).column: kind for name, kind in table.columns.items()}
    erased = {column: kind.sql(column) for column, kind in values.items()}
    if table is CUSTOMER:
        erased["external_id"] = "pseudonym"
    return UPDATE.format(
        place=place_of(table),
        table=model._meta.db_table,
        assignments=", ".join(f"{column} = {value}" for column, value in erased.items()),
        condition=" AND ".join(_conditions(table, model)),
        differs=" OR ".join(f"{column} IS DISTINCT FROM {value}" for column, value in erased.items()),
    )


def _conditions(table: PersonalTable, model: type[Model]) -> Iterator[str]:
    if table is APPROVALS:
        yield _is_about()
    else:
        yield f"({' OR '.join(belongs_to(model, path) for path in table.paths)})"
    if table.kept_from:
        yield _is_before(model, table.kept_from)
    if table is ALIASES:
        yield "alias <> 'erased-' || id"


def belongs_to(model: type[Model], path: str) -> str:
    """Return the condition that a row leads to the customer: `invoice_id IN (SELECT id FROM … )`."""
    if not path:
        return "id = subject"
    step, _, rest = path.partition("__")
    field: Any = model._meta.get_field(step)
    if not rest:
        return f"{field.column} = subject"
    target = field.related_model
    inner = belongs_to(target, rest)
    return f"{field.column} IN (SELECT {target._meta.pk.column} FROM {target._meta.db_table} WHERE {inner})"  # noqa: S608


def _is_before(model: type[Model], path: str) -> str:
    step, _, rest = path.partition("__")
    field: Any = model._meta.get_field(step)
    if not rest:
        return f"{field.column} < before"
    target = field.related_model
    return f"{field.column} IN (SELECT id FROM {target._meta.db_table} WHERE {_is_before(target, rest)})"  # noqa: S608


def _is_about() -> str:
    labels = []
    for label in ABOUT:
        model = apps.get_model(label)
        (path,) = next(table.paths for table in TABLES if table.label == label)
        condition = belongs_to(model, path)
        labels.append(f"SELECT '{label}:' || id FROM {model._meta.db_table} WHERE {condition}")  # noqa: S608
    return f"about::text[] && ARRAY({' UNION ALL '.join(labels)}) AND status <> 'requested'"
