"""Describe errors without the values of rows, for what is stored, shown or sent."""

import re

import psycopg
from django.db import Error

DATA_EXCEPTION = "22"  # the class of SQLSTATEs whose messages quote the value that was refused
QUOTED = re.compile(r'"[^"]*"')


def describe_error(error: BaseException) -> str:
    """Return the message of an error, which is never blank. PostgreSQL's details contain values, so they are left out.

    >>> describe_error(ValueError("no such plan")), describe_error(KeyError())
    ('no such plan', 'KeyError')
    """
    cause = error.__cause__ if isinstance(error, Error) else error  # Django wraps those of psycopg
    if isinstance(cause, psycopg.Error):
        return _describe_database_error(cause)
    return str(error).strip() or type(error).__name__


def _describe_database_error(error: psycopg.Error) -> str:
    message = error.diag.message_primary or next(iter(str(error).strip().splitlines()), "")
    if (error.sqlstate or "").startswith(DATA_EXCEPTION):
        message = QUOTED.sub("“…”", message)
    return message or type(error).__name__
