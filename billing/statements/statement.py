"""A customer's statement for each currency: opening balance, movements with running balance, closing balance."""

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
    """The range has too many days or movements, or ends before it starts. The message says what to do."""


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """A movement with its local date and the balance after it."""

    on: date
    movement: Movement
    balance: Decimal


@dataclass(slots=True)
class AccountMovements:
    """One account in one currency: the balance before the first day, the movements, the balance after the last day."""

    opening: Decimal = ZERO
    entries: list[StatementEntry] = field(default_factory=list)

    @property
    def closing(self) -> Decimal:
        return self.entries[-1].balance if self.entries else self.opening

    @property
    def is_empty(self) -> bool:
        return not self.entries and not self.opening

    def sum_movements(self, *, up: bool) -> Decimal:
        """Add up the movements that increased the balance, or those that decreased it."""
        amounts = (entry.movement.amount for entry in self.entries)
        return sum((amount for amount in amounts if (amount > 0) == up), ZERO)


@dataclass(frozen=True, slots=True)
class CurrencyStatement:
    """A customer's accounts in one currency: the amount owed, and prepaid credit."""

    currency: str
    owed: AccountMovements
    credit: AccountMovements


@dataclass(frozen=True, slots=True)
class Statement:
    """A customer's statement from the first to the last day, inclusive, in the customer's time zone."""

    customer: Customer
    first: date
    last: date
    timezone: str
    currencies: Sequence[CurrencyStatement]


def build_statement(customer: Customer, first: date, last: date, *, currency: str = "") -> Statement:
    """Build a statement from the first to the last day, in the customer's time zone. Writes nothing.

    An invoice is charged on the day it was finalized and reversed on the day it was voided. Drafts aren't included. A
    currency without movements and balance is omitted. Raises `StatementTooLong`.
    """
    if not first <= last or last - first > timedelta(days=LONGEST_DAYS):
        raise StatementTooLong("Choose a last day that isn't before the first day, at most ten years later.")
    zone = customer.timezone
    window = Period(local_midnight(first, zone), local_midnight(last + timedelta(days=1), zone))
    accounts: dict[tuple[str, str], AccountMovements] = defaultdict(AccountMovements)
    for source in SOURCES:
        for code, amount in source.sum_before(customer.pk, window.start, zone):
            accounts[code, source.account].opening += amount
    _add_entries(accounts, _list_movements(customer.pk, window, zone), zone)
    codes = sorted({code for (code, _), account in accounts.items() if not account.is_empty})
    currencies = [
        CurrencyStatement(code, accounts[code, OWED], accounts[code, CREDIT])
        for code in codes
        if currency in ("", code)
    ]
    return Statement(customer, first, last, zone, currencies)


def _list_movements(customer_id: int, window: Period, zone: str) -> list[Movement]:
    movements: list[Movement] = []
    for source in SOURCES:
        movements += source.list_within(customer_id, window, zone, MOST_MOVEMENTS + 1)
    if len(movements) > MOST_MOVEMENTS:
        raise StatementTooLong(f"The range has more than {MOST_MOVEMENTS:,} movements. Choose a shorter range.")
    return sorted(movements, key=lambda movement: (movement.at, movement.rank))


def _add_entries(accounts: dict[tuple[str, str], AccountMovements], movements: Iterable[Movement], zone: str) -> None:
    for movement in movements:
        account = accounts[movement.currency, movement.account]
        balance = account.closing + movement.amount
        account.entries.append(StatementEntry(local_date(movement.at, zone), movement, balance))
