"""What the application's role may do in the database.

The role reads every table, and adds, changes and deletes rows, with the exceptions below. It owns nothing, so it can't
change or empty tables, or switch off their triggers, which keep finalized rows as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

PRIVILEGES_LOCK = 7_301_020
SCHEMAS = ["public", "reporting"]


@dataclass(frozen=True, slots=True)
class Rights:
    """What the role may do with the rows of a table, besides reading them. Locking a row takes an updatable column.

    `delete_expired` is the right to delete if LEDGER_DAYS sets a period, `delete_sealed` if EVENT_HISTORY is set.
    """

    insert: bool = False
    update: tuple[str, ...] | bool = ()
    delete: bool = False
    delete_expired: bool = False
    delete_sealed: bool = False

    def names(self, columns: Iterable[str]) -> set[str]:
        """Return the privileges as PostgreSQL writes them, for the columns that the table has."""
        names = {"SELECT"}
        if self.insert:
            names.add("INSERT")
        if isinstance(self.update, tuple):
            names |= {f"UPDATE {name}" for name in self.update if name in columns}
        elif self.update:
            names.add("UPDATE")
        is_over = self.delete_expired and settings.LEDGER_DAYS > 0
        if self.delete or is_over or (self.delete_sealed and settings.EVENT_HISTORY):
            names.add("DELETE")
        return names


EVERYTHING = Rights(insert=True, update=True, delete=True)
READ_ONLY = Rights()
ADD_ONLY = Rights(insert=True)

EXCEPTIONS: Mapping[str, Rights] = {
    # Migrations fill these.
    "django_migrations": READ_ONLY,
    "django_content_type": READ_ONLY,
    "auth_permission": READ_ONLY,
    # The change log. Deleting a user empties the author, and the email address stays.
    "auditlog_logentry": Rights(insert=True, update=("actor_id",)),
    "config_changeseal": READ_ONLY,  # functions of the owner write it
    "config_changelogcheck": ADD_ONLY,
    # The ledger. Replays match events to customers again, and voids are a state.
    "events_event": Rights(
        insert=True, update=("customer_id", "state", "is_touched"), delete_expired=True, delete_sealed=True
    ),
    "events_eventvoid": Rights(insert=True, delete_expired=True),
    "events_knownid": Rights(insert=True, update=("part",)),
    "events_prunedeventid": ADD_ONLY,
    "events_sealedpart": Rights(insert=True, update=True),
    "events_ledgerhorizon": Rights(insert=True, update=("events",)),
    # Never deleted.
    "customers_customer": Rights(insert=True, update=True),
    "customers_customeralias": Rights(insert=True, update=True),
    "customers_subscriptionaddon": Rights(insert=True, update=True),
    "customers_subscriptionphase": Rights(insert=True, update=True),
    "events_apikey": Rights(insert=True, update=True),
    "config_approval": Rights(insert=True, update=True),
    "config_personaldataerasure": Rights(insert=True, update=True),
    "config_personalkey": Rights(insert=True, update=True),  # a function of the owner destroys keys
    "billing_monthclosing": Rights(insert=True, update=True),
    "billing_numberseries": Rights(insert=True, update=True),
    # Money that moved. Corrections are further rows.
    "billing_payment": ADD_ONLY,
    "billing_walletentry": ADD_ONLY,
    "billing_wallet": Rights(insert=True, update=True),
    "billing_creditgrant": Rights(insert=True, update=True),
}

READ_TABLES = """
    SELECT
        namespace.nspname, relation.relname, relation.relkind::text,
        ARRAY(
            SELECT attname::text FROM pg_attribute
            WHERE attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
        ),
        ARRAY(
            SELECT granted.privilege_type FROM aclexplode(relation.relacl) AS granted WHERE granted.grantee = role.oid
            UNION ALL
            SELECT granted.privilege_type || ' ' || attname
            FROM pg_attribute, aclexplode(attacl) AS granted
            WHERE attrelid = relation.oid AND NOT attisdropped AND granted.grantee = role.oid
        )
    FROM pg_class AS relation
    JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    JOIN pg_roles AS role ON role.rolname = %(role)s
    WHERE namespace.nspname = ANY(%(schemas)s) AND relation.relkind IN ('r', 'p', 'v', 'm', 'S')
    ORDER BY 1, 2
"""
MISSES_SCHEMA = "SELECT FROM pg_namespace WHERE NOT has_schema_privilege(%s, oid, 'USAGE') AND nspname = %s"
# A trigger of the library pgtrigger does nothing in a session that says `SET pgtrigger.ignore = '{freeze_invoice}'`.
# Nothing here needs that, and it would be a way around every trigger.
NEVER_IGNORE_TRIGGERS = """
    CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN false
"""


def is_restricted() -> bool:
    """Tell whether the application's role is another than the owner of the tables."""
    owner = settings.DATABASE_OWNER["USER"]
    return bool(settings.DATABASE_ROLE and owner != settings.DATABASE_ROLE)


def restrict_application() -> list[str]:
    """Give the application's role exactly its privileges, as the owner; return the names of the tables that changed.

    The role is created if it doesn't exist, with the password of DATABASE_URL. Safe to repeat and to run concurrently.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PRIVILEGES_LOCK])
        cursor.execute("SELECT provolatile <> 'i' FROM pg_proc WHERE proname = '_pgtrigger_should_ignore'")
        if cursor.fetchone() == (True,):
            cursor.execute(NEVER_IGNORE_TRIGGERS)
        if not is_restricted():
            return []
        role = settings.DATABASE_ROLE
        _create_role(cursor, role, settings.DATABASE_ROLE_PASSWORD)
        return _grant_all(cursor, role)


def _create_role(cursor: CursorWrapper, role: str, password: str) -> None:
    cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone() is not None:
        return
    statement = sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role))
    if password:
        # Only the hash is sent, so that no log holds the password.
        connection.ensure_connection()
        hashed = connection.connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        statement += sql.SQL(" PASSWORD {}").format(sql.Literal(hashed.decode()))
    cursor.execute(statement)


def _grant_all(cursor: CursorWrapper, role: str) -> list[str]:
    cursor.execute(READ_TABLES, {"role": role, "schemas": SCHEMAS})
    changed = []
    for schema, name, kind, columns, present in cursor.fetchall():
        wanted = _privileges(name, kind, columns)
        if set(present) != wanted:
            changed.append(name)
            for statement in _statements(schema, name, kind, wanted, role):
                cursor.execute(statement)
    for schema in SCHEMAS:
        cursor.execute(MISSES_SCHEMA, [role, schema])
        if cursor.fetchone() is not None:
            grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}")
            cursor.execute(grant.format(sql.Identifier(schema), sql.Identifier(role)))
    return changed


def _privileges(name: str, kind: str, columns: list[str]) -> set[str]:
    if kind == "S":
        return {"SELECT", "USAGE"}
    if kind in ("v", "m"):
        return {"SELECT"}
    return EXCEPTIONS.get(name, EVERYTHING).names(columns)


def _statements(schema: str, name: str, kind: str, wanted: set[str], role: str) -> Iterable[sql.Composed]:
    subject = sql.SQL("SEQUENCE {}" if kind == "S" else "TABLE {}").format(sql.Identifier(schema, name))
    privileges = []
    for text in sorted(wanted):
        privilege, _, column = text.partition(" ")
        privileges.append(
            sql.SQL("{} ({})").format(sql.SQL(privilege), sql.Identifier(column)) if column else sql.SQL(privilege)
        )
    yield sql.SQL("REVOKE ALL ON {} FROM {}").format(subject, sql.Identifier(role))
    yield sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(", ").join(privileges), subject, sql.Identifier(role))
