"""The statement: opening balance, every movement with the balance after it, closing balance, for each currency."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from billing.money import ZERO
from billing.statements.sources import CREDIT, OWED, SOURCES, Movement
from config.refusals import Refused
from customers.models import Customer
from customers.periods import Period, local_date, local_midnight

MOST_MOVEMENTS = 10_000
LONGEST_DAYS = 3_660


class StatementTooLong(Refused):
    """The range holds more movements than a statement lists, or is upside down. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A movement on its day, with the balance after it."""

    on: date
    movement: Movement
    balance: Decimal


@dataclass(slots=True)
class AccountMovements:
    """One account in one currency: its balance before the first day, what moved, the balance after the last."""

    opening: Decimal = ZERO
    entries: list[Entry] = field(default_factory=list)

    @property
    def closing(self) -> Decimal:
        return self.entries[-1].balance if self.entries else self.opening

    @property
    def is_empty(self) -> bool:
        return not self.entries and not self.opening

    def moved(self, *, up: bool) -> Decimal:
        """Add up what raised the balance, or what lowered it."""
        amounts = (entry.movement.amount for entry in self.entries)
        return sum((amount for amount in amounts if (amount > 0) == up), ZERO)


@dataclass(frozen=True, slots=True)
class CurrencyStatement:
    """What a customer owes in one currency, and the prepaid credit they have in it."""

    currency: str
    owed: AccountMovements
    credit: AccountMovements


@dataclass(frozen=True, slots=True)
class Statement:
    """A customer's statement over whole days in their time zone, both included."""

    customer: Customer
    first: date
    last: date
    timezone: str
    currencies: Sequence[CurrencyStatement]


def statement(customer: Customer, first: date, last: date, *, currency: str = "") -> Statement:
    """Work out a statement from the first to the last day, in the customer's time zone. Writes nothing.

    An invoice is charged on the day it was finalized and taken back on the day it was voided. Drafts aren't in it. A
    currency without movement and balance is left out. Raises `StatementTooLong`.
    """
    if not first <= last or last - first > timedelta(days=LONGEST_DAYS):
        raise StatementTooLong("A statement goes from a day to a later one, at most ten years on.")
    zone = customer.timezone
    window = Period(local_midnight(first, zone), local_midnight(last + timedelta(days=1), zone))
    accounts: dict[tuple[str, str], AccountMovements] = defaultdict(AccountMovements)
    for source in SOURCES:
        for code, amount in source.before(customer.pk, window.start, zone):
            accounts[code, source.account].opening += amount
    _run(accounts, _movements(customer.pk, window, zone), zone)
    codes = sorted({code for (code, _), account in accounts.items() if not account.is_empty})
    chosen = [code for code in codes if currency in ("", code)]
    found = [CurrencyStatement(code, accounts[code, OWED], accounts[code, CREDIT]) for code in chosen]
    return Statement(customer, first, last, zone, found)


def _movements(customer_id: int, window: Period, zone: str) -> list[Movement]:
    found: list[Movement] = []
    for source in SOURCES:
        found += source.within(customer_id, window, zone, MOST_MOVEMENTS + 1)
    if len(found) > MOST_MOVEMENTS:
        raise StatementTooLong(f"More than {MOST_MOVEMENTS:,} movements: choose a shorter range.")
    return sorted(found, key=lambda movement: (movement.at, movement.rank))


def _run(accounts: dict[tuple[str, str], AccountMovements], movements: Iterable[Movement], zone: str) -> None:
    for movement in movements:
        account = accounts[movement.currency, movement.account]
        balance = account.closing + movement.amount
        account.entries.append(Entry(local_date(movement.at, zone), movement, balance))
