"""The steps of an erasure. Each is safe to repeat: what is erased already stays as it is."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection
from django.db.backends.utils import CursorWrapper

from billing.personal_data.copies import erase_copies
from billing.personal_data.functions import place_of
from billing.personal_data.messages import erase_messages
from config.personal_data.keys import make_salt
from config.personal_data.models import PersonalDataErasure
from config.personal_data.tables import ALIASES, APPROVALS, AT_ONCE, CUSTOMER, KEPT, PersonalTable
from customers.models import Customer
from events.history.rewriting import take_out_customer

EVENTS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Work:
    """Whose personal data is erased, and from which row on."""

    customer: Customer
    erasure: PersonalDataErasure
    after: int


type Progress = tuple[int, int | None]  # how many rows were erased, and the last row; None once the step is done
type Step = Callable[[Work], Progress]


def erase_events(work: Work) -> Progress:
    """Erase a chunk of the customer's events, from those on that the last complete pass didn't see.

    Sealed events return to the ledger first. None is sealed later: erased events are touched.
    """
    after = max(work.after, work.erasure.last_event)
    if after == 0:
        take_out_customer(work.customer.pk)
    with connection.cursor() as cursor:
        salt = make_salt(work.customer.pk)
        cursor.execute(
            "SELECT * FROM erase_personal_events(%s, %s, %s, %s)", [work.customer.pk, salt, after, EVENTS_AT_ONCE]
        )
        last, changed = cursor.fetchone()
    return changed, last


def erase_rest_of_events(work: Work) -> Progress:
    """Erase problems and voids of all events, duplicates, distinct values and large replays."""
    with connection.cursor() as cursor:
        salt = make_salt(work.customer.pk)
        cursor.execute("SELECT erase_personal_rest_of_events(%s, %s)", [work.customer.pk, salt])
        return int(cursor.fetchone()[0]), None


def erase_webhooks(work: Work) -> Progress:
    """Erase a chunk of webhook messages."""
    return erase_messages(work.customer, work.erasure, after=work.after)


def erase_logs(work: Work) -> Progress:
    """Erase stored responses, refused requests and the admin's log."""
    return erase_copies(work.customer), None


def erase_tables(*tables: PersonalTable) -> Step:
    """Return the step that erases these parts of the list, as far as the law no longer requires them.

    The database's clock decides that, so that no caller can erase documents early.
    """

    def erase(work: Work) -> Progress:
        with connection.cursor() as cursor:
            return sum(_erase_rows(cursor, table, work.customer.pk) for table in tables), None

    return erase


def _erase_rows(cursor: CursorWrapper, table: PersonalTable, customer_id: int) -> int:
    cursor.execute("SELECT erase_personal_rows(%s, %s)", [place_of(table), customer_id])
    return int(cursor.fetchone()[0])


# The customer's own row comes last: the steps before find copies by its name, email and external id.
STEPS: tuple[Step, ...] = (
    erase_events,
    erase_rest_of_events,
    erase_webhooks,
    erase_logs,
    erase_tables(*AT_ONCE, APPROVALS),
    erase_tables(*KEPT),
    erase_tables(ALIASES, CUSTOMER),
)
