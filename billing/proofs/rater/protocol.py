"""The conversation with the process that asks: one JSON object a line, in both directions.

1. `{"subscription": …, "period": …, "fees": […], "commitments": …, "totals": …}`: an invoice. Each part can be missing.
2. `{"needs": [{"feature": 5, "start": …, "end": …}]}`: the answer, the events that the usage needs.
3. `{"feature": 5, "events": [[time, checksum, number, key], …]}`: events in the order in which they occurred, in any
   number of lines.
4. `{"end": true}`, answered by `{"usage": […], "fees": […], "commitments": […], "totals": …}` or `{"error": …}`.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from billing.proofs.rater.commitments import answer_commitments
from billing.proofs.rater.fees import Held, line_of
from billing.proofs.rater.numbers import read, write
from billing.proofs.rater.pricing import NoTier
from billing.proofs.rater.subscription import Subscription
from billing.proofs.rater.time import read_moment, read_span
from billing.proofs.rater.totals import Charge, Coupon, Tax, add_up
from billing.proofs.rater.usage import Line, PeriodUsage


def talk(lines: TextIO, answers: TextIO) -> None:
    """Answer questions until there are no more."""
    for line in lines:
        for answer in _answer(json.loads(line), lines):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _answer(question: dict[str, Any], lines: TextIO) -> Iterator[dict[str, Any]]:
    subscription = Subscription.read(question["subscription"]) if "subscription" in question else None
    usage = PeriodUsage(subscription, read_span(question["period"])) if subscription and "period" in question else None
    yield {"needs": [] if usage is None else list_needs(usage)}
    for line in lines:
        message = json.loads(line)
        if "end" in message:
            break
        if usage is not None and message["feature"] in usage.ledgers:
            usage.ledgers[message["feature"]].add(message["events"])
    try:
        fees = [answer_fee(subscription, fee) for fee in question.get("fees", ())] if subscription else []
        yield {
            "usage": [] if usage is None else [write_line(line) for line in usage.lines()],
            "fees": fees,
            "commitments": answer_commitments(subscription, question["commitments"])
            if subscription and "commitments" in question
            else [],
            "totals": answer_totals(question["totals"], fees) if "totals" in question else None,
        }
    except NoTier as error:
        yield {"error": f"No tier of the price holds {error}"}


def list_needs(usage: PeriodUsage) -> list[dict[str, Any]]:
    return [
        {"feature": number, "start": span.start.isoformat(), "end": span.end.isoformat()}
        for number, ledger in usage.ledgers.items()
        for span in ledger.needs()
    ]


def write_line(line: Line) -> dict[str, Any]:
    numbers = ("quantity", "free", "billable", "amount", "missing")
    written = {name: write(getattr(line, name)) for name in numbers}
    return {"price": line.price, "events": line.events, "checksum": line.checksum, **written}


def answer_fee(subscription: Subscription, data: dict[str, Any]) -> dict[str, str]:
    """Answer with the amount of a fee line whose service begins at a moment.

    `held` are the lines of the fee on other invoices, as (service begins at, amount, discount), of any period. The fee
    covers `periods` billing periods, one if left out.
    """
    periods = data.get("periods", 1)
    full = subscription.fee_period(read_moment(data["at"]), periods)
    held = [
        Held(read(amount), read(discount))
        for at, amount, discount in data["held"]
        if full.start <= read_moment(at) < full.end
    ]
    line = line_of(subscription, data["price"], full, held, periods)
    return {"amount": write(line.amount), "discount_back": write(line.discount_back)}


def answer_totals(data: dict[str, Any], fees: Sequence[dict[str, str]] = ()) -> dict[str, Any]:
    """Answer with the totals of an invoice and the parts of its charges, in their order.

    A charge that names one of the `fees` reverses the discount that was calculated there.
    """
    charges = [
        Charge.read(
            charge if charge.get("fee") is None else charge | {"discount_back": fees[charge["fee"]]["discount_back"]}
        )
        for charge in data["charges"]
    ]
    coupons = [Coupon.read(coupon) for coupon in data["coupons"]]
    totals = add_up(
        charges, coupons, [Tax.read(tax) for tax in data["taxes"]], data["places"], is_reversed=data["reversed"]
    )
    names = ("subtotal", "discount", "tax", "tax_included", "total")
    parts = ("discount", "tax", "tax_included")
    return {
        **{name: write(getattr(totals, name)) for name in names},
        "charges": [{name: write(getattr(charge, name)) for name in parts} for charge in charges],
    }
