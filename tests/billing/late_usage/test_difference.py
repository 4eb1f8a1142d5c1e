"""The difference between what a billed period charges now and what was charged for it. Every amount by hand."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from billing.charges.late_items import Figures, figures_by_price
from billing.late_usage.difference import Credited, Settled, charged_by_price, differences

CALLS, OLD, NEW = 1, 2, 3  # prices


@dataclass(frozen=True)
class Line:
    """A line of usage: units, of which some are free, and their amount."""

    quantity: Decimal
    amount: Decimal
    free_units: Decimal = Decimal(0)
    discount_amount: Decimal = Decimal(0)
    price_id: int = CALLS
    kind: str = "usage"
    events_count: int = 0
    events_checksum: int = 0

    @property
    def billable_quantity(self):
        return self.quantity - self.free_units


def usage(quantity, amount, *, free="0", discount="0", price=CALLS):
    return Line(Decimal(quantity), Decimal(amount), Decimal(free), Decimal(discount), price)


def true_up(amount):
    return Line(Decimal(0), Decimal(amount), kind="true_up")


def settled(before, after, *, credited="0", discount="0"):
    """A settled adjustment from (quantity, amount) to (quantity, amount)."""
    sides = [
        Figures(Decimal(quantity), Decimal(0), Decimal(quantity), Decimal(amount))
        for quantity, amount in (before, after)
    ]
    return Settled(CALLS, sides[0], sides[1], credited=Decimal(credited), discount=Decimal(discount))


def calculate(now, charged, adjustments=(), credited=None, currency="USD"):
    by_hand = {CALLS: Credited(Decimal(credited), notes=("CN-000001",))} if credited else {}
    return differences(figures_by_price(now), charged_by_price(charged, adjustments), by_hand, currency)


WORKED_CASES = {
    "a late event at $0.25": (
        [usage("5", "1.25")], [usage("4", "1.00")], {}, ("1", "0.25"),
    ),
    # 5 x $1.00, then $0.10 each and $2.00 once: 5.00 + 2 x 0.10 + 2.00 = 7.20
    "late events reach the second graduated tier": (
        [usage("7", "7.20")], [usage("4", "4.00")], {}, ("3", "3.20"),
    ),
    # up to 5 at $1.00 each; 6 and more at $0.50 each
    "a late event makes a volume price cheaper": (
        [usage("6", "3.00")], [usage("5", "5.00")], {}, ("1", "-2.00"),
    ),
    "two of four calls are voided": (
        [usage("2", "0.50")], [usage("4", "1.00")], {}, ("-2", "-0.50"),
    ),
    "all calls are voided": (
        [], [usage("4", "1.00")], {}, ("-4", "-1.00"),
    ),
    # 100 units free, then $0.10: 30 billable units
    "late events use up the free units": (
        [usage("130", "3.00", free="100")], [usage("90", "0.00", free="90")], {}, ("40", "3.00"),
    ),
    "late events stay within the free units": (
        [usage("95", "0.00", free="95")], [usage("90", "0.00", free="90")], {}, ("5", "0.00"),
    ),
    "nothing was invoiced for the period": (
        [usage("3", "0.75")], [], {}, ("3", "0.75"),
    ),
    # a minimum of $100.00: 40.00 of usage and a true-up of 60.00
    "late usage stays within the minimum": (
        [usage("70", "70.00"), true_up("30.00")], [usage("40", "40.00"), true_up("60.00")], {}, ("30", "0.00"),
    ),
    "late usage exceeds the minimum": (
        [usage("130", "130.00")], [usage("40", "40.00"), true_up("60.00")], {}, ("90", "30.00"),
    ),
    # 510 GB stored at $0.02: the running total of the period's end
    "a late event raises a running total": (
        [usage("510", "10.20")], [usage("500", "10.00")], {}, ("10", "0.20"),
    ),
    "usage becomes negative and charges nothing": (
        [usage("-5", "0.00")], [usage("10", "1.00")], {}, ("-15", "-1.00"),
    ),
    "yen have no decimals": (
        [usage("67", "201")], [usage("100", "300")], {"currency": "JPY"}, ("-33", "-99"),
    ),
    "an earlier late event was invoiced": (
        [usage("7", "1.75")], [usage("4", "1.00")],
        {"adjustments": [settled(("4", "1.00"), ("6", "1.50"))]}, ("1", "0.25"),
    ),
    "an invoiced late event is voided": (
        [usage("4", "1.00")], [usage("4", "1.00")],
        {"adjustments": [settled(("4", "1.00"), ("6", "1.50"))]}, ("-2", "-0.50"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("now", "charged", "given", "expected"), WORKED_CASES.values(), ids=WORKED_CASES)
def test_the_signed_quantity_and_amount_of_a_difference(now, charged, given, expected):
    difference = calculate(now, charged, **given)[CALLS]
    assert (difference.quantity, difference.amount) == tuple(map(Decimal, expected))
    assert not difference.is_nothing


# Ten calls at $1.00 were invoiced. Columns: charged now, credited by hand, adjustments since;
# expected: amount, of the reduction credited before, and whether staff decide.
CREDITED_CASES = {
    "all voided, nothing credited": ("0", None, [], ("-10.00", "0", False)),
    "all voided after all was credited": ("0", "10.00", [], ("0.00", "10.00", False)),
    "all voided after a part was credited": ("0", "4.00", [], ("-6.00", "4.00", False)),
    "a part voided after a part was credited": ("7", "4.00", [], ("-3.00", "0", True)),
    "more voided than the credit left": ("2", "4.00", [], ("-6.00", "2.00", True)),
    "more usage after a credit": ("12", "4.00", [], ("2.00", "0", False)),
    # After the first of these cases with a credit of 4.00 was settled: 6.00 refunded, 4.00 taken into account.
    "the same again": ("0", "4.00", [settled(("10", "6.00"), ("0", "0"), credited="4.00")], ("0.00", "0", False)),
    "the credit note is voided later": (
        "0", None, [settled(("10", "6.00"), ("0", "0"), credited="4.00")], ("-4.00", "0", False),
    ),
    "the usage returns later": (
        "10", "4.00", [settled(("10", "6.00"), ("0", "0"), credited="4.00")], ("10.00", "0", False),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("calls", "credited", "adjustments", "expected"), CREDITED_CASES.values(), ids=CREDITED_CASES)
def test_credit_given_by_hand_is_not_refunded_again(calls, credited, adjustments, expected):
    amount, already_credited, is_unclear = expected
    now = [usage(calls, f"{calls}.00")]
    difference = calculate(now, [usage("10", "10.00")], adjustments, credited)[CALLS]
    assert (difference.amount, difference.credited) == (Decimal(amount), Decimal(already_credited))
    assert difference.is_unclear == is_unclear


@pytest.mark.parametrize(
    ("now", "discount", "currency", "back"),
    [
        ("0", "3.00", "USD", "3.00"),  # all 12.00 refunded, so all of the discount
        ("8", "3.00", "USD", "1.00"),  # 4.00 of 12.00
        ("11", "1.00", "USD", "0.08"),  # 1.00 of 12.00: 0.08333
        ("11", "30", "JPY", "3"),  # 1 of 12: 2.5 yen, rounded away from zero
        ("12", "3.00", "USD", "0"),  # nothing is refunded
        ("15", "3.00", "USD", "0"),  # more is due
    ],
)
def test_a_refund_takes_back_its_part_of_the_discount(now, discount, currency, back):
    charged = [usage("12", "12.00", discount=discount)]
    difference = calculate([usage(now, now)], charged, currency=currency)[CALLS]
    assert difference.discount_back == Decimal(back)


def test_unchanged_usage_is_no_difference():
    difference = calculate([usage("4", "1.00")], [usage("4", "1.00")])[CALLS]
    assert difference.is_nothing
    assert (difference.quantity, difference.amount) == (0, 0)


def test_a_replaced_price_is_refunded_and_the_new_price_charged():
    by_price = calculate([usage("50", "6.00", price=NEW)], [usage("50", "5.00", price=OLD)])
    amounts = {price: (difference.quantity, difference.amount) for price, difference in by_price.items()}
    assert amounts == {OLD: (-50, Decimal("-5.00")), NEW: (50, Decimal("6.00"))}


def test_a_voided_event_replaced_by_another_is_a_difference_without_an_amount():
    before, after = (Line(Decimal(4), Decimal(1), events_count=4, events_checksum=checksum) for checksum in (7, 9))
    difference = calculate([after], [before])[CALLS]
    assert (difference.is_nothing, difference.quantity, difference.amount) == (False, 0, 0)
