"""The price of a unit by usage, as a staircase with a customer's place on it."""

from collections.abc import Iterator
from decimal import Decimal
from functools import partial

from billing.money import ZERO, exact, format_price
from billing.rating.terms import Model, Terms, Tier
from config.numbers import number
from config.office.charts import Chart, ChartKind, Mark, Series

TIERED = (Model.GRADUATED, Model.VOLUME)
ROOM = Decimal("1.25")  # how far the chart goes beyond the last step or the customer's place


def staircase(
    terms: Terms, currency: str, *, free_units: Decimal | None = None, place: Decimal | None = None, who: str = ""
) -> Chart | None:
    """Draw what one more unit costs at each usage of a period; None for a price without tiers.

    Free units are deducted first, so they move the tiers: with 100 free units, a tier up to 1,000 ends at a usage of
    1,100. `place` is the usage of the customer `who`.
    """
    if terms.model not in TIERED or terms.conversion is not None:
        return None
    steps = list(_steps(terms.tiers, free_units or ZERO))
    with exact():
        end = max([*(start for start, _ in steps), place or ZERO, Decimal(1)]) * ROOM
    steps.append((end, steps[-1][1]))
    marks = [Mark(f"{who or 'Usage'}: {number(place)}", place, is_vertical=True)] if place is not None else []
    if free_units:
        marks.append(Mark(f"{number(free_units)} free", free_units, is_vertical=True))
    return Chart(
        title="Price of one unit by usage",
        heading="From a usage of",
        labels=[number(start) for start, _ in steps],
        series=[Series(_name(terms.model), [amount for _, amount in steps])],
        kind=ChartKind.STEPS,
        unit=currency,
        write=partial(format_price, currency=currency),
        marks=marks,
        positions=[start for start, _ in steps],
    )


def _name(model: Model) -> str:
    return "Price of the next unit" if model is Model.GRADUATED else "Price of every unit"


def _steps(tiers: tuple[Tier, ...], free_units: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield each usage from which a price applies, and the price."""
    start = ZERO
    if free_units:
        yield start, ZERO
        start = free_units
    for tier in tiers:
        yield start, tier.unit_amount
        if tier.up_to is not None:
            with exact():
                start = free_units + tier.up_to
