"""Check new migrations: `python -m tests.migrations`. They run while the previous release serves, on large tables too.

What is refused, and what to write instead:

- On large tables, what reads or rewrites all rows under a lock: an index (`AddIndexConcurrently`, `atomic = False`), a
  constraint (`AddConstraintNotValid`, then `ValidateConstraint` in another migration), another type, `NOT NULL`.
- On all tables, what the previous release can't live with: a column that it doesn't fill (`db_default`, or null), and a
  column or table that it still uses. Remove these from the models first, with `SeparateDatabaseAndState`, and from the
  database in the release after.

A migration that is known to be safe says why in an attribute: `why_safe = "The table was added in this release."`
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import django
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import connection, models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

# The newest migration of each app in the last release. Later ones are checked; tests/scenarios/test_upgrade.py starts
# from these.
LAST_RELEASE = {
    "config": "0013_seal_the_change_log",
    "catalog": "0011_call_states_status",
    "customers": "0009_call_it_canceled",
    "events": "0024_add_awaits_approval",
    "billing": "0036_call_it_canceled",
}
LARGE = frozenset(
    {
        ("auditlog", "logentry"),
        *(("events", name) for name in ("event", "usagebucket", "uniquevalue", "problem", "duplicateevent")),
        *(("billing", name) for name in ("invoice", "invoiceline", "billingstate")),
    }
)
LARGE_TABLES = "|".join(f"{app}_{name}" for app, name in sorted(LARGE))
SHORTEST_REASON = 20

IN_SQL = {
    r"\bCREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)(\w+\s+)?ON\s+\S*(TABLES)\b": "build the index CONCURRENTLY",
    r"\bALTER\s+TABLE\s+\S*(TABLES)\b[^;]*\bADD\s+CONSTRAINT\b(?![^;]*\bNOT\s+VALID\b)": "add the constraint NOT VALID",
    r"\bALTER\s+TABLE\s+\S*(TABLES)\b[^;]*\b(TYPE|SET\s+NOT\s+NULL)\b": "it reads or rewrites every row under a lock",
    r"\bUPDATE\s+\S*(TABLES)\b(?![^;]*\bWHERE\b)": "it locks every row until the commit: update in batches",
    r"\bLOCK\s+TABLE\s+\S*(TABLES)\b": "everyone waits for the lock",
    r"\bDROP\s+(TABLE|COLUMN)\b": "the previous release may still use it",
}
REMOVED = (operations.RemoveField, operations.DeleteModel, operations.RenameField, operations.RenameModel)


@dataclass(frozen=True)
class Finding:
    """What a migration does that it shouldn't."""

    migration: str
    problem: str

    def __str__(self) -> str:
        return f"{self.migration}: {self.problem}"


def check_all() -> list[Finding]:
    """Check every migration of ours that is newer than the last release."""
    loader = MigrationLoader(None)
    new = (key for key in loader.graph.leaf_nodes() if key[0] in LAST_RELEASE)
    keys = dict.fromkeys(part for leaf in new for part in loader.graph.forwards_plan(leaf) if is_new(*part))
    return [finding for key in keys for finding in check(loader.disk_migrations[key], _state_before(loader, key))]


def is_new(app: str, name: str) -> bool:
    """Tell whether a migration came after the last release, by its number."""
    return app in LAST_RELEASE and name[:4] > LAST_RELEASE[app][:4]


def check(migration: Migration, state: ProjectState) -> list[Finding]:
    """Check one migration. `state` are the models before it, and is changed."""
    if len(getattr(migration, "why_safe", "")) >= SHORTEST_REASON:
        return []
    made: set[tuple[str, str]] = set()
    findings = []
    for operation in migration.operations:
        before = state.clone()
        operation.state_forwards(migration.app_label, state)
        for part in _in_database(operation):
            if isinstance(part, operations.CreateModel):
                made.add((migration.app_label, part.name_lower))
            problems = _problems(part, migration.app_label, before, state, made)
            findings += [Finding(f"{migration.app_label}.{migration.name}", problem) for problem in problems]
    return findings


def _state_before(loader: MigrationLoader, key: tuple[str, str]) -> ProjectState:
    parents = [parent for parent in loader.disk_migrations[key].dependencies if parent in loader.disk_migrations]
    return loader.project_state(parents or None)


def _in_database(operation: operations.base.Operation) -> list[operations.base.Operation]:
    if isinstance(operation, operations.SeparateDatabaseAndState):
        return [part for inner in operation.database_operations for part in _in_database(inner)]
    return [operation]


def _problems(
    operation: operations.base.Operation,
    app: str,
    before: ProjectState,
    after: ProjectState,
    made: set[tuple[str, str]],
) -> Iterator[str]:
    if isinstance(operation, operations.RunSQL):
        yield from _problems_of_sql(str(operation.sql))
        return
    name = str(getattr(operation, "model_name", getattr(operation, "name", ""))).lower()
    if (app, name) in made:
        return
    is_large = (app, name) in LARGE
    if isinstance(operation, REMOVED):
        yield f"{operation.describe()}: the previous release still uses it"
    elif isinstance(operation, operations.AddIndex) and is_large and not isinstance(operation, AddIndexConcurrently):
        yield f"{operation.describe()}: use AddIndexConcurrently, with atomic = False"
    elif isinstance(operation, operations.AddConstraint) and is_large:
        if not isinstance(operation, AddConstraintNotValid):
            yield f"{operation.describe()}: use AddConstraintNotValid, and ValidateConstraint in another migration"
    elif isinstance(operation, operations.AddField):
        yield from _problems_of_new(operation, is_large=is_large)
    elif isinstance(operation, operations.AlterField):
        yield from _problems_of_changed(operation, app, before, after, is_large=is_large)


def _problems_of_sql(sql: str) -> Iterator[str]:
    for pattern, problem in IN_SQL.items():
        if match := re.search(pattern.replace("TABLES", LARGE_TABLES), sql, re.IGNORECASE):
            yield f"SQL “{' '.join(match[0].split())[:60]}”: {problem}"


def _problems_of_new(operation: operations.AddField, *, is_large: bool) -> Iterator[str]:
    field = operation.field
    is_filled = field.null or field.has_db_default() or field.many_to_many or getattr(field, "generated", False)
    if not is_filled:
        yield f"{operation.describe()}: the previous release doesn't fill it. Give it a db_default, or allow null"
    if is_large and (field.unique or getattr(field, "db_index", False) or field.is_relation):
        yield f"{operation.describe()}: its index or foreign key locks a large table while all rows are read"


def _problems_of_changed(
    operation: operations.AlterField, app: str, before: ProjectState, after: ProjectState, *, is_large: bool
) -> Iterator[str]:
    old, new = (_field(state, app, operation) for state in (before, after))
    if old.null and not new.null:
        yield f"{operation.describe()}: the previous release may write null, and every row is read under a lock"
    if is_large and old.db_type(connection) != new.db_type(connection):
        yield f"{operation.describe()}: another type rewrites a large table under a lock"


def _field(state: ProjectState, app: str, operation: operations.AlterField) -> models.Field:
    model = state.apps.get_model(app, operation.model_name)
    field: models.Field = model._meta.get_field(operation.name)
    return field


def main() -> int:
    findings = check_all()
    for finding in findings:
        print(finding)  # noqa: T201  a command
    return 1 if findings else 0


if __name__ == "__main__":
    django.setup()
    sys.exit(main())
