"""New migrations run while the previous release serves: what would stop it, or lock a large table, is refused."""

from typing import Any

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState

from tests.migrations import check, check_all

INDEX = models.Index(fields=["n"], name="by_n")
POSITIVE = models.CheckConstraint(condition=models.Q(n__gt=0), name="positive")


def find(*operations: Any, app: str = "events", model: str = "Event", **attributes: Any) -> list[str]:
    """Check a migration with these operations on a table that exists already."""
    state = ProjectState()
    fields = [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField(null=True))]
    state.add_model(ModelState(app, model, fields))
    body = {"operations": list(operations), **attributes}
    migration = type("Migration", (migrations.Migration,), body)("0099_new", app)
    return [finding.problem for finding in check(migration, state)]


def test_our_new_migrations_are_safe():
    assert [str(finding) for finding in check_all()] == []


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (migrations.AddIndex("Event", INDEX), "use AddIndexConcurrently"),
        (migrations.AddConstraint("Event", POSITIVE), "use AddConstraintNotValid"),
        (migrations.AlterField("Event", "n", models.BigIntegerField(null=True)), "rewrites a large table"),
        (migrations.AlterField("Event", "n", models.IntegerField()), "may write null"),
        (migrations.AddField("Event", "m", models.IntegerField(default=0)), "doesn't fill it"),
        (migrations.AddField("Event", "m", models.IntegerField(null=True, db_index=True)), "locks a large table"),
        (migrations.RemoveField("Event", "n"), "still uses it"),
        (migrations.RenameField("Event", "n", "m"), "still uses it"),
        (migrations.RunSQL("CREATE INDEX by_n ON events_event (n)"), "CONCURRENTLY"),
        (migrations.RunSQL("ALTER TABLE events_event ADD CONSTRAINT p CHECK (n > 0)"), "NOT VALID"),
        (migrations.RunSQL("UPDATE billing_invoiceline SET amount = 0"), "in batches"),
        (migrations.RunSQL("ALTER TABLE billing_invoice ALTER total TYPE float8"), "rewrites every row"),
    ],
)
def test_what_stops_the_previous_release_or_locks_a_large_table_is_refused(operation: Any, problem: str):
    (found,) = find(operation)
    assert problem in found


@pytest.mark.parametrize(
    "operation",
    [
        AddIndexConcurrently("Event", INDEX),
        AddConstraintNotValid("Event", POSITIVE),
        migrations.AddField("Event", "m", models.IntegerField(default=0, db_default=0)),
        migrations.AddField("Event", "m", models.IntegerField(null=True)),
        migrations.AlterField("Event", "n", models.IntegerField(null=True, help_text="A number.")),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("Event", "n")]),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY by_n ON events_event (n)"),
        migrations.RunSQL("ALTER TABLE events_event ADD CONSTRAINT p CHECK (n > 0) NOT VALID"),
    ],
)
def test_what_is_safe_passes(operation: Any):
    assert find(operation) == []


def test_a_small_table_can_get_an_index():
    assert find(migrations.AddIndex("Plan", INDEX), app="catalog", model="Plan") == []


def test_a_table_of_the_same_migration_can_get_anything():
    create = migrations.CreateModel(
        "Problem", [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField())]
    )
    assert find(create, migrations.AddIndex("Problem", INDEX)) == []


def test_a_migration_can_say_why_it_is_safe():
    index = migrations.AddIndex("Event", INDEX)
    assert find(index, why_safe="The table was added in this release.") == []
    assert len(find(index, why_safe="it is")) == 1
