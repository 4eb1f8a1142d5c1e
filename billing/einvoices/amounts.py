"""Numbers of electronic invoices as text. Amounts have two decimals at most."""

from decimal import Decimal

from billing import wording
from billing.money import currency_places, exact, round_amount

MOST_PLACES = 2
HALF_A_CENT = Decimal("0.005")


def plain(number: Decimal) -> str:
    """Write a quantity, price or rate: no exponent, no trailing zeros.

    >>> plain(Decimal("19.000000")), plain(Decimal("1E+3"))
    ('19', '1000')
    """
    return wording.plain(number + 0)


def fits(amounts: list[Decimal], currency: str) -> bool:
    """Tell whether the amounts have two decimals at most: BHD 1.250 fits, BHD 1.255 doesn't."""
    return currency_places(currency) <= MOST_PLACES or all(
        amount == amount.quantize(Decimal("0.01")) for amount in amounts
    )


def money(amount: Decimal, currency: str) -> str:
    """Write an amount with its currency's decimals, two at most.

    >>> money(Decimal("12.5"), "EUR"), money(Decimal("1250"), "JPY"), money(Decimal("0.250"), "BHD")
    ('12.50', '1250', '0.25')
    """
    return f"{round_amount(amount, currency):.{min(currency_places(currency), MOST_PLACES)}f}"


def is_product(quantity: Decimal, price: Decimal, amount: Decimal) -> bool:
    """Tell whether a quantity times a price is the amount, but for the rounding to cents."""
    with exact():
        return abs(quantity * price - amount) <= HALF_A_CENT
