"""Errors are described without the values of rows, which can be personal data."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.isolation import unexpected_error
from config.db.errors import describe_error

pytestmark = pytest.mark.django_db
EMAIL = "anna.berger@larkspur.example"


@pytest.mark.parametrize(
    ("statement", "description"),
    [
        (
            f"CREATE TEMP TABLE person (email text UNIQUE); INSERT INTO person VALUES ('{EMAIL}'), ('{EMAIL}')",
            'duplicate key value violates unique constraint "person_email_key"',
        ),
        (f"SELECT '{EMAIL}'::integer", "invalid input syntax for type integer: “…”"),
        (f"SELECT '{EMAIL}'::date", "invalid input syntax for type date: “…”"),
        (f"SELECT '[{EMAIL}'::jsonb", "invalid input syntax for type json"),
        (f"DO $$ BEGIN RAISE 'Not allowed.' USING DETAIL = '{EMAIL}'; END $$", "Not allowed."),
    ],
)
def test_values_are_left_out(statement: str, description: str):
    with pytest.raises(DatabaseError) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert describe_error(raised.value) == description
    assert EMAIL not in unexpected_error(raised.value)


def test_an_error_that_another_one_caused_keeps_its_own_message():
    with pytest.raises(IntegrityError) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE person (email text UNIQUE); INSERT INTO person VALUES ('a'), ('a')")
    explained = RuntimeError("The owner can't create databases.")
    explained.__cause__ = raised.value.__cause__
    assert describe_error(explained) == "The owner can't create databases."
