"""What billing some subscriptions made, or would make."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from billing.invoicing.compute import ComputedInvoice
from billing.money import ZERO


@dataclass(slots=True)
class Tally:
    """The result for some subscriptions: how many were processed, their invoices and amounts, and who was parked.

    `amounts` are by currency, and `problems` are the reasons for parking, by subscription.
    """

    done: int = 0
    invoices: int = 0
    amounts: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    problems: dict[int, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return len(self.problems)

    def count(self, totals: Iterable[tuple[str, Decimal]]) -> None:
        """Count invoices, given as currency and total."""
        for currency, total in totals:
            self.invoices += 1
            self.amounts[currency] += total

    def add(self, other: "Tally") -> None:
        self.done += other.done
        self.invoices += other.invoices
        self.problems |= other.problems
        for currency, amount in other.amounts.items():
            self.amounts[currency] += amount


@dataclass(slots=True)
class ExpectedInvoices:
    """The invoices that billing a subscription would make, and the reason for which it would then be parked."""

    computed: list[ComputedInvoice] = field(default_factory=list)
    problem: str = ""
