"""A deal of five lines is entered in the browser, with its effect on invoices before saving."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from catalog.models import Price
from customers.signals import invoice_start
from tests.admin_pages import url
from tests.billing.world import D
from tests.browser import AdminBrowser
from tests.factories import make_customer, make_feature, make_subscription, make_version
from tests.scenarios.test_accessibility import violations


@pytest.mark.django_db(transaction=True)
def test_a_deal_of_five_lines_is_entered_with_its_effect(admin_browser: AdminBrowser) -> None:
    calls = make_feature(name="Calls", unit_singular="call", unit_plural="calls")
    tokens = make_feature(name="Tokens", unit_singular="token", unit_plural="tokens")
    plan = make_version(
        {"kind": "fixed", "cadence": "advance", "name": "Seats", "unit_amount": D(10), "quantity": D(10)},
        {"feature": calls, "unit_amount": D("0.10"), "position": 1},
        {"feature": tokens, "model": "graduated", "tiers": [(1000, D("0.02")), (None, D("0.01"))], "position": 2},
        {"kind": "fixed", "cadence": "advance", "name": "Platform", "unit_amount": D(99), "position": 3},
        free_units={calls: D(100)},
        name="Team",
    )
    customer = make_customer(name="Larkspur Analytics")
    subscription = make_subscription(customer=customer, plan=plan, starts_at=timezone.now() - timedelta(days=3))
    invoice_start(subscription, now=timezone.now())

    page = admin_browser.open(url("customers_subscription_change", subscription.pk))
    page.get_by_role("link", name="Agree terms").click()
    effect = page.locator("#agreement-effect")
    expect(effect).to_contain_text("Nothing is changed yet.")
    page.get_by_label("Amount of Seats").fill("8")
    page.get_by_label("Quantity of Seats").fill("25")
    page.get_by_label("Tiers of Tokens").fill("5000: 0.015\n: 0.008")
    page.get_by_label("Included of Calls").fill("1000")
    page.get_by_label("Amount of Platform").fill("79")
    page.get_by_label("Name", exact=True).fill("Dedicated support")
    page.get_by_label("Amount", exact=True).fill("250")
    expect(effect).to_contain_text(re.compile(r"Invoiced at once:\s+\$"))
    assert violations(page) == []
    page.get_by_label("Reason").fill("Order 4711")
    page.get_by_role("button", name="Agree").click()
    deal = page.get_by_role("region", name="Agreed terms")
    expect(deal).to_contain_text("25 × $8.00 per month, in advance")
    expect(deal).to_contain_text("1,000 calls free each billing period")
    assert violations(page) == []
    assert Price.objects.exclude(listed=None).count() == 3
    assert admin_browser.console_errors == []
