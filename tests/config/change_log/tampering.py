"""Rewrite the change log as someone who owns the tables could."""

from django.db import connection

from config.change_log.verifying import CONTENT
from tests.owner import as_owner


def tamper(*statements: str) -> None:
    """Run statements as the owner, with triggers switched off."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET session_replication_role = origin")


# Calculate all seals and the chain again, as if the entries had always been as they are.
WRITE_CHAIN_AGAIN = (
    "DELETE FROM config_changeseal AS seal WHERE NOT EXISTS (SELECT FROM auditlog_logentry WHERE id = seal.entry_id)",
    f"""
        UPDATE config_changeseal AS seal SET number = NULL, hash = NULL, content = {CONTENT}
        FROM auditlog_logentry AS entry WHERE entry.id = seal.entry_id
    """,
    "SELECT seal_change_log(1000000)",
)
