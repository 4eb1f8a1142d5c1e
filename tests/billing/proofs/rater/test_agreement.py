"""The independent rater calculates what the product bills, for subscriptions to which anything happens."""

from decimal import Decimal

from hypothesis import HealthCheck, given, settings

from billing.charges.late_items import figures_by_price
from billing.charges.next_invoice import NextInvoice
from billing.kinds import FEE_KINDS, IN_ADVANCE_KINDS
from billing.lines import Charge
from tests.billing.proofs.rater.questions import ask
from tests.billing.proofs.rater.random_subscriptions import Story, bill_to_end, stories
from tests.billing.proofs.rater.written import write_subscription

NEARLY = Decimal("1e-30")


def fees_as_question(charges: list[Charge], held: list[Charge]) -> list[dict]:
    return [
        {
            "price": charge.price_id,
            "periods": charge.computation.get("periods", 1),
            "at": charge.period.start.isoformat(),
            "held": [
                [other.period.start.isoformat(), str(other.amount), str(other.discount)]
                for other in held
                if other.price_id == charge.price_id
            ],
        }
        for charge in charges
    ]


def check_usage(story: Story, invoice: NextInvoice, charges: list[Charge]) -> None:
    period = {"start": invoice.period.start.isoformat(), "end": invoice.period.end.isoformat()}
    events = {
        number: [(event.at.isoformat(), event.value) for event in story.events if event.feature == number]
        for number in (1, 2)
    }
    answer = ask({"subscription": write_subscription(story.subscription), "period": period}, events)
    again = {line["price"]: line for line in answer["usage"]}
    billed = figures_by_price(charges)
    assert set(again) == set(billed)
    for price_id, figures in billed.items():
        line = again[price_id]
        assert Decimal(line["amount"]) + Decimal(line["missing"]) == figures.amount
        assert line["events"] == figures.events
        for name in ("quantity", "free", "billable"):
            assert abs(Decimal(line[name]) - getattr(figures, name)) < NEARLY


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(stories())
def test_usage_and_fees_of_any_subscription_agree(story):
    held: list[Charge] = []
    for invoice, charges in bill_to_end(story):
        fees = [charge for charge in charges if charge.kind in FEE_KINDS]
        question = {"subscription": write_subscription(story.subscription), "fees": fees_as_question(fees, held)}
        answers = ask(question)["fees"]
        assert [Decimal(answer["amount"]) for answer in answers] == [fee.amount for fee in fees]
        held += fees
        if invoice.kind not in IN_ADVANCE_KINDS and invoice.period.start < invoice.period.end:
            check_usage(story, invoice, [charge for charge in charges if charge.kind not in FEE_KINDS])
