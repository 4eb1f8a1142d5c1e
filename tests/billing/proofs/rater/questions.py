"""Questions for the independent rater, with defaults, and its answers."""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

from billing.proofs.rater.protocol import talk

MONTH = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
ONE_MONTH = {"unit": "month", "count": 1, "anchor": MONTH["start"], "timezone": "UTC", "alignment": "anniversary"}
EVERY_DIGIT = 119  # decimals of an amount that isn't rounded

Event = tuple[str, Any]


def ask(question: dict[str, Any], events: dict[int, Sequence[Event]] | None = None) -> dict[str, Any]:
    """Ask about one invoice, with the (time, number) of each feature's events in their order."""
    rows = {
        number: [[at, 0, str(value), str(value)] for at, value in given] for number, given in (events or {}).items()
    }
    messages = [question, *({"feature": number, "events": given} for number, given in rows.items()), {"end": True}]
    answers = StringIO()
    talk(StringIO("".join(json.dumps(message) + "\n" for message in messages)), answers)
    needs, answer = answers.getvalue().splitlines()
    assert "needs" in json.loads(needs)
    answered: dict[str, Any] = json.loads(answer)
    return answered


def subscription(**values: Any) -> dict[str, Any]:
    """Return a monthly subscription from January 2026, with version 1 in force, whose amounts are dollars."""
    defaults = {
        "cycle": ONE_MONTH,
        "started_at": MONTH["start"],
        "prorate": True,
        "places": 2,
        "phases": [phase()],
        "versions": {"1": version()},
        "features": [feature()],
    }
    return defaults | values


def phase(kind: str = "active", number: int = 1, start: str = MONTH["start"], end: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "version": number, "start": start, "end": end}


def version(usage: Iterable[Any] = (), fees: Iterable[Any] = (), free: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"usage": list(usage), "fees": list(fees), "free": free or {}}


def feature(number: int = 1, aggregation: str = "sum", **values: Any) -> dict[str, Any]:
    defaults = {"feature": number, "aggregation": aggregation, "cumulative": False, "rounding": "none", "places": 0}
    return defaults | values


def price(number: int = 1, model: str = "per_unit", **values: Any) -> dict[str, Any]:
    return {"price": number, "feature": 1, "model": model} | values


def free_units(units: Any, reset: str = "period", *, prorated: bool = False) -> dict[str, Any]:
    return {"units": units, "reset": reset, "prorated": prorated}


def fee(number: int, amount: Any, *, in_advance: bool = True) -> dict[str, Any]:
    return {"price": number, "amount": str(amount), "quantity": "1", "advance": in_advance}


def usage_of(question: dict[str, Any], *events: Event) -> dict[str, Decimal]:
    """Return the figures of the only usage line that events of feature 1 make."""
    [line] = ask(question, {1: events})["usage"]
    return {name: Decimal(figure) for name, figure in line.items() if name not in ("price", "checksum")}


def amount_of(question: dict[str, Any], *events: Event) -> Decimal:
    """Return what events of feature 1 cost, 0 without a line."""
    lines = ask(question, {1: events})["usage"]
    return sum((Decimal(line["amount"]) for line in lines), Decimal(0))
