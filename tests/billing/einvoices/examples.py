"""Random documents for electronic invoices, calculated by the product's own code, without the database."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random

from billing.adjustments.adjust import adjust
from billing.adjustments.conditions import AppliedCoupon, Conditions, CustomerTax
from billing.adjustments.credit import AvailableCredit
from billing.invoicing.rows import rows_of
from billing.invoicing.totals import set_totals
from billing.kinds import InvoiceKind, LineKind
from billing.lines import Charge
from billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from billing.money import currency_places, round_amount
from customers.kinds import TaxCategory, TaxTreatment
from customers.models import Customer
from customers.periods import Period
from tests.billing.world import utc

START, END, ISSUED = utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 10, 2)
SELLER = {
    "name": "Larkspur GmbH",
    "address_line1": "Lindenweg 12",
    "address_postal_code": "10999",
    "address_city": "Berlin",
    "address_country": "DE",
    "tax_id": "VAT DE136695976",
    "registration": "HRB 123456 B",
    "email": "billing@larkspur.example",
    "phone": "+49 30 901820",
    "contact": "Accounts",
    "iban": "DE02120300000000202051",
    "bic": "BYLADEM1001",
    "peppol_id": "9930:DE136695976",
    "payment_terms": "Please state the invoice number in your transfer.",
}
BUYER = {
    "external_id": "acme",
    "name": "Acme NV <Süd> & Söhne",
    "email": "ap@acme.example",
    "address_line1": "Kerkstraat 1",
    "address_postal_code": "1000",
    "address_city": "Brussels",
    "address_country": "BE",
    "tax_id": "BE0428759497",
    "buyer_reference": "04011000-1234512345-06",
    "peppol_id": "0208:0428759497",
}
UNTAXED = [category for category in TaxCategory if category != TaxCategory.STANDARD]


@dataclass
class Example:
    """A numbered invoice with its lines and parties."""

    invoice: Invoice
    lines: list[InvoiceLine]
    seller: dict[str, str]
    buyer: dict[str, str]


def make_example(seed: int) -> Example:
    """Make an invoice whose currency, lines, discounts, tax and credit are random."""
    random = Random(seed)
    currency = random.choice(["EUR", "EUR", "EUR", "USD", "JPY", "SEK"])
    buyer = dict(BUYER)
    conditions = _make_conditions(random, buyer, currency)
    charges = [_make_charge(random, currency) for _ in range(random.randint(1, 12))]
    adjusted = adjust(charges, conditions, currency=currency, at=END)
    invoice = Invoice(
        number=f"INV-{seed:06}",
        kind=InvoiceKind.CYCLE,
        customer=Customer(external_id="acme", name="Acme", timezone="Europe/Brussels"),
        currency=currency,
        period_start=START,
        period_end=END,
        issued_at=ISSUED,
        due_at=ISSUED + timedelta(days=30),
        po_number=random.choice(["", "PO-4711"]),
        memo=random.choice(["", "Thank you\x0b for your order."]),
    )
    set_totals(invoice, adjusted)
    return Example(invoice, rows_of(invoice, (*adjusted.charges, *adjusted.lines)), dict(SELLER), buyer)


def _make_conditions(random: Random, buyer: dict[str, str], currency: str) -> Conditions:
    """Choose how the invoice is taxed: at a rate, within the prices, or not at all for one of the reasons."""
    percentage = Decimal(random.choice(["19", "7", "21", "8.1", "5.5", "25"]))
    inclusive = random.random() < 0.25
    tax = CustomerTax("VAT", "VAT", percentage, is_inclusive=inclusive)
    treatment = TaxTreatment.TAXABLE
    if random.random() < 0.5:
        category = random.choice(UNTAXED)
        if category == TaxCategory.REVERSE_CHARGE:
            treatment = TaxTreatment.REVERSE_CHARGE
        elif category == TaxCategory.ZERO:
            tax = CustomerTax("ZERO", "VAT", Decimal(0))
        else:
            treatment = TaxTreatment.EXEMPT
            buyer["untaxed_category"] = category.value if category != TaxCategory.EXEMPT else ""
    credit = [AvailableCredit(1, Decimal(random.choice(["3", "50", "100000"])))]
    return Conditions(
        treatment=treatment,
        note=random.choice(["", "Article 44 of Directive 2006/112/EC"]) if treatment != TaxTreatment.TAXABLE else "",
        taxes=(tax,),
        coupons=[coupon for coupon in _make_coupons(currency) if random.random() < 0.4],
        credit={currency: credit if random.random() < 0.3 else []},
    )


def _make_coupons(currency: str) -> list[AppliedCoupon]:
    return [
        AppliedCoupon(1, "LOYAL", "Loyalty", percent_off=Decimal("12.5")),
        AppliedCoupon(2, "TEN", "Welcome", amount_off=Decimal(10), currency=currency),
    ]


def _make_charge(random: Random, currency: str) -> Charge:
    """Make a fee, metered usage, usage in tiers, late usage, a credited fee or an item."""
    unit = Decimal(random.choice(["49", "0.0025", "0.000000123456", "12.345", "1"]))
    quantity = Decimal(random.choice(["0", "1", "3", "1250", "987654.321", "12500"]))
    free = min(Decimal(random.choice([0, 0, 1000])), quantity)
    kind = random.choice([LineKind.FEE, LineKind.USAGE, LineKind.LATE_USAGE, LineKind.PRORATION, LineKind.ITEM])
    charge = Charge(
        kind,
        amount=round_amount(unit * (quantity - free), currency),
        description=random.choice(["API calls · 1–30 Sep 2026", "Pro plan", "Storage (GB) · 1,000 free"]),
        period=Period(START, END),
        quantity=quantity,
        free_units=free,
        billable_quantity=quantity - free,
        unit_amount=unit,
    )
    if kind == LineKind.USAGE and random.random() < 0.5:  # in tiers, with a flat amount
        charge.unit_amount = None
        charge.amount += round_amount(Decimal(random.choice(["0", "7.77"])), currency)
    if kind == LineKind.LATE_USAGE:
        charge.period = Period(utc(2026, 7, 1), utc(2026, 8, 1))
        charge.amount, charge.unit_amount = charge.amount * random.choice([1, -1]), None
    if kind == LineKind.PRORATION:
        charge.unit_amount = Decimal("-20")
        charge.quantity = charge.billable_quantity = Decimal(1)
        charge.free_units = Decimal(0)
        charge.amount, charge.discount_back = Decimal(-20), Decimal(random.choice([0, 2]))
    return charge


def make_credited(example: Example) -> tuple[CreditNote, list[CreditNoteLine]] | None:
    """Credit half of every positive line, with its share of the taxes. None if no line is positive."""
    places = Decimal(1).scaleb(-currency_places(example.invoice.currency))
    rows: list[CreditNoteLine] = []
    for line in example.lines:
        half = ((line.amount - line.discount_amount) / 2).quantize(places)
        if line.kind not in (LineKind.TAX, LineKind.DISCOUNT) and half > 0:
            rows.append(
                CreditNoteLine(
                    invoice_line=line,
                    position=len(rows) + 1,
                    description=line.description,
                    amount=half,
                    tax_amount=(line.tax_amount / 2).quantize(places),
                    tax_included=(line.tax_included / 2).quantize(places),
                )
            )
    if not rows:
        return None
    note = CreditNote(
        number=example.invoice.number.replace("INV", "CN"),
        invoice=example.invoice,
        currency=example.invoice.currency,
        reason="billing_error",
        finalized_at=ISSUED,
        subtotal=sum(row.amount for row in rows),
        tax_total=sum(row.tax_amount for row in rows),
        tax_included=sum(row.tax_included for row in rows),
    )
    note.total = note.subtotal + note.tax_total
    return note, rows
