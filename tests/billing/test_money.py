"""Rounding, splitting and formatting money."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing.money import (
    UnknownCurrency,
    allocate,
    currency_places,
    exact,
    format_amount,
    format_price,
    known_currency,
    round_amount,
    round_to,
    spread,
    times,
)


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("1.005", "USD", "1.01"),
        ("-1.005", "USD", "-1.01"),
        ("1.0049999", "USD", "1.00"),
        ("0.5", "JPY", "1"),
        ("1.5", "KRW", "2"),
        ("0.0005", "BHD", "0.001"),
        ("12345678901234567890123456789.005", "EUR", "12345678901234567890123456789.01"),
    ],
)
def test_halves_are_rounded_away_from_zero_at_the_currencys_precision(amount, currency, rounded):
    assert round_amount(Decimal(amount), currency) == Decimal(rounded)


def test_no_result_is_minus_zero():
    assert str(round_amount(Decimal("-0.001"), "USD")) == "0.00"
    assert str(round_to(Decimal("-0.4"), 0, "ceil")) == "0"


@pytest.mark.parametrize(
    ("mode", "rounded"),
    [
        ("half_up", ["2", "3", "-3"]),
        ("ceil", ["2", "3", "-2"]),
        ("floor", ["1", "2", "-3"]),
        ("none", ["1.6", "2.5", "-2.5"]),
    ],
)
def test_quantities_can_be_rounded_in_other_ways(mode, rounded):
    assert [round_to(Decimal(number), 0, mode) for number in ("1.6", "2.5", "-2.5")] == list(map(Decimal, rounded))


def test_negative_places_round_to_tens_and_hundreds():
    assert round_to(Decimal(1250), -2) == 1300


@pytest.mark.parametrize(
    ("currency", "places"),
    [("USD", 2), ("JPY", 0), ("KRW", 0), ("BHD", 3), ("IQD", 3), ("HUF", 2), ("IDR", 2), ("RSD", 2), ("CLF", 4)],
)
def test_precision_follows_iso_4217_even_if_coins_no_longer_exist(currency, places):
    assert currency_places(currency) == places


@pytest.mark.parametrize(("currency", "places"), [("DEM", 2), ("ITL", 0), ("HRK", 2)])
def test_former_currencies_keep_their_precision_but_are_not_offered(currency, places):
    assert currency_places(currency) == places
    assert not known_currency(currency)


@pytest.mark.parametrize("currency", ["CHE", "COU", "MXV", "USN", "VED"])
def test_units_of_account_have_two_decimals_and_are_not_offered(currency):
    assert currency_places(currency) == 2
    assert not known_currency(currency)


@pytest.mark.parametrize("currency", ["usd", "XXX", "XAU", "", "POINTS"])
def test_codes_that_were_never_currencies_are_refused(currency):
    assert not known_currency(currency)
    with pytest.raises(UnknownCurrency):
        currency_places(currency)


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        ("10.00", [1, 1, 1], ["3.34", "3.33", "3.33"]),
        ("0.05", [1, 1, 1], ["0.02", "0.02", "0.01"]),
        ("-0.05", [1, 1, 1], ["-0.02", "-0.02", "-0.01"]),
        ("1.00", ["0.001", "0.002"], ["0.33", "0.67"]),
        ("100.00", [0, 3, 7], ["0.00", "30.00", "70.00"]),
        ("0.02", [0, 0, 0], ["0.01", "0.01", "0.00"]),
        ("0.00", [], []),
    ],
)
def test_the_last_cents_go_to_the_largest_remainders_and_ties_to_the_earlier(amount, weights, parts):
    assert allocate(Decimal(amount), [Decimal(weight) for weight in weights], 2) == list(map(Decimal, parts))


@pytest.mark.parametrize(("amount", "weights"), [("1.00", []), ("1.00", [2, -1])])
def test_a_split_without_valid_weights_is_refused(amount, weights):
    with pytest.raises(ValueError, match=r".+"):
        allocate(Decimal(amount), [Decimal(weight) for weight in weights], 2)


def test_positive_and_negative_shares_are_rounded_to_their_total():
    shares = [Fraction(1, 3), Fraction(-1, 6), Fraction(1, 3)]
    assert spread(Decimal("0.50"), shares, 2) == [Decimal("0.34"), Decimal("-0.17"), Decimal("0.33")]


def test_shares_that_do_not_add_up_to_the_total_are_refused():
    with pytest.raises(ValueError, match="rounded sum"):
        spread(Decimal("0.60"), [Fraction(1, 4), Fraction(1, 4)], 2)


def test_products_keep_every_digit():
    with exact():
        product = Decimal("1000000000000000000.000000000001") * Decimal("0.000000000001")
    assert product == Decimal("1000000.000000000000000000000001")
    assert times(Decimal("0.10"), Fraction(1, 4)) == Decimal("0.025")


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1234.5", "USD", "$1,234.50"),
        ("-1234.505", "EUR", "-€1,234.51"),
        ("12.4", "JPY", "¥12"),
        ("0.5", "BHD", "BHD\N{NO-BREAK SPACE}0.500"),
        ("1000000", "CHF", "CHF\N{NO-BREAK SPACE}1,000,000.00"),
    ],
)
def test_amounts_are_formatted_with_their_currency(amount, currency, text):
    assert format_amount(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("price", "currency", "text"),
    [
        ("0.0025", "USD", "$0.0025"),
        ("3", "USD", "$3.00"),
        ("0.000000000001", "USD", "$0.000000000001"),
        ("100", "JPY", "¥100"),
    ],
)
def test_unit_prices_are_formatted_with_all_their_decimals(price, currency, text):
    assert format_price(Decimal(price), currency) == text
