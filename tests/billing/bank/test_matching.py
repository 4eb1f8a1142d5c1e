"""Suggestions by invoice number, amount, account and name, with scores by hand."""

import pytest

from billing.bank.matching import EntryFacts, OpenInvoice, find_named, suggest
from tests.billing.world import D

ACME, BAKER = 1, 2
INVOICES = [
    OpenInvoice(11, "INV-000001", D(100), ACME, "Acme GmbH"),
    OpenInvoice(12, "INV-000002", D(50), ACME, "Acme GmbH"),
    OpenInvoice(13, "INV-0000012", D(70), BAKER, "Baker Ltd"),
]


@pytest.mark.parametrize(
    ("amount", "name", "text", "known", "expected"),
    [
        (100, "ACME", "INV 000001", None, (ACME, {11: 100}, 100, ["invoice number", "amount", "name"])),
        (100, "", "Re inv000001 v. 1.10.", None, (ACME, {11: 100}, 90, ["invoice number", "amount"])),
        (
            150,
            "",
            "INV-000001, INV-000002",
            ACME,
            (ACME, {11: 100, 12: 50}, 100, ["invoice number", "amount", "account"]),
        ),
        (98, "", "INV-000001", None, (ACME, {11: 98}, 70, ["invoice number"])),
        (120, "", "INV-000001", None, (ACME, {11: 100}, 70, ["invoice number"])),
        (70, "Someone", "INV-0000012", None, (BAKER, {13: 70}, 90, ["invoice number", "amount"])),
        (170, "", "INV-000001 INV-0000012", None, None),
        (170, "", "INV-000001 INV-0000012", ACME, (ACME, {11: 100}, 80, ["invoice number", "account"])),
        (50, "", "thanks", ACME, (ACME, {12: 50}, 85, ["account", "amount"])),
        (150, "", "thanks", ACME, (ACME, {11: 100, 12: 50}, 85, ["account", "amount of all"])),
        (30, "", "thanks", ACME, (ACME, {11: 30}, 60, ["account"])),
        (70, "BAKER LIMITED", "", None, (BAKER, {13: 70}, 75, ["name", "amount"])),
        (10, "Baker", "", None, (BAKER, {13: 10}, 45, ["name"])),
        (70, "", "", None, (BAKER, {13: 70}, 40, ["amount"])),
        (71, "", "", None, None),
        (99, "", "", 9, (9, {}, 60, ["account"])),
    ],
)
def test_suggestions(amount, name, text, known, expected):
    found = suggest(EntryFacts(D(amount), name, text, known), INVOICES)
    assert (found and (found.customer_id, dict(found.parts), found.score, found.reasons)) == expected


def test_a_number_within_another_number_is_not_the_invoice():
    assert [invoice.pk for invoice in find_named("INV-0000012", INVOICES)] == [13]
    assert find_named("INV-0000013", INVOICES) == []
