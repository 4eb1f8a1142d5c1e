"""Keep one failing row from failing its batch."""

from collections.abc import Callable, Sequence

from django.db import InterfaceError, OperationalError, transaction

from config.db.errors import describe_error

LONGEST_DESCRIPTION = 2_000


def isolate[Row, Result](
    rows: Sequence[Row], work: Callable[[Sequence[Row]], Result], on_failure: Callable[[Row, Exception], Result]
) -> list[Result]:
    """Do the work of a batch in one transaction. If it fails, halve the batch until the failing rows are alone.

    Return what `work` returned for the parts that succeeded and what `on_failure` returned for each failing row, in
    the rows' order. Among 500 rows, one failing row costs 18 more calls. An error of the database connection is no
    row's fault, so it is raised, and so is the error of an empty batch. `on_failure` may raise the error again.
    """
    try:
        with transaction.atomic():
            return [work(rows)]
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if not rows:
            raise
        if len(rows) == 1:
            return [on_failure(rows[0], error)]
    middle = len(rows) // 2
    return isolate(rows[:middle], work, on_failure) + isolate(rows[middle:], work, on_failure)


def unexpected_error(error: Exception) -> str:
    """Describe an unexpected exception for staff.

    >>> unexpected_error(KeyError("tier"))
    "Unexpected error, KeyError: 'tier'"
    """
    return f"Unexpected error, {type(error).__name__}: {describe_error(error)}"[:LONGEST_DESCRIPTION]
