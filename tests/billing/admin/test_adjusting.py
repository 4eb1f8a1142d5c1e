"""Taxes, discounts and prepaid credit in the admin: pages, actions and permissions."""

import io

import openpyxl
import pytest
from django.utils import timezone

from billing.lifecycle.finalize import finalize
from billing.models import (
    Coupon,
    CouponApplication,
    CouponUse,
    CreditGrant,
    Invoice,
    TaxAssignment,
    TaxRate,
    Wallet,
    WalletEntry,
)
from config.audit import changes_of
from tests.admin_pages import as_viewer, count_queries, submit, text_of, url
from tests.billing.adjusting import START, give, make_coupon, make_credit, make_tax
from tests.billing.world import D, bill, utc
from tests.factories import make_customer, make_feature, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db
LISTS = ("taxrate", "coupon", "couponapplication", "wallet", "walletentry")
FEE = {"kind": "fixed", "model": "flat", "cadence": "advance", "unit_amount": D(30)}


@pytest.fixture
def customer():
    return make_customer(name="Acme", external_id="acme")


@pytest.fixture
def invoice(customer):
    """A draft over $30, less 10%, and 20% on top: $32.40; $5 of it from credit."""
    make_subscription(customer=customer, plan=make_version(FEE), starts_at=START, now=START)
    give(make_coupon(10, code="TEN", name="Ten percent", duration="once"), customer)
    make_tax(20)
    make_credit(customer, 5)
    return bill(START)[0]


def page(client, address):
    answer = client.get(address, follow=True)
    assert answer.status_code == 200, address
    return answer.content.decode()


def change(name, row):
    return url(f"billing_{name}_change", row.pk)


# --- invoices --------------------------------------------------------------------------------------------


def test_invoice_page_shows_each_step_from_subtotal_to_amount_due(staff_client, invoice):
    finalize(invoice, now=START)
    shown = page(staff_client, change("invoice", invoice))
    steps = [
        "Subtotal", "$30.00", "Ten percent (TEN): 10% off", "-$3.00", "Taxable", "$27.00", "VAT 20% of $27.00", "$5.40",
        "Total", "$32.40", "Prepaid credit", "-$5.00", "Amount due", "$27.40",
    ]  # fmt: skip
    foot = shown[shown.index('class="ch-invoice-totals"') :]
    places: list[int] = []
    for text in steps:
        places.append(foot.index(text, places[-1] if places else 0))
    assert places == sorted(places)


def test_credit_on_an_invoice_links_to_its_transactions(staff_client, invoice):
    finalize(invoice, now=START)
    transactions_url = url("billing_walletentry_changelist", invoice__id__exact=invoice.pk)
    assert transactions_url in page(staff_client, change("invoice", invoice))
    assert "Applied to an invoice" in page(staff_client, transactions_url)


def test_upcoming_invoice_shows_the_same_steps(staff_client, invoice):
    shown = page(staff_client, url("billing_subscription_upcoming", invoice.subscription_id))
    assert "VAT 20% of $30.00" in shown
    assert "$36.00" in shown


def test_invoice_paid_only_from_prepaid_credit_can_be_voided(staff_client, customer, invoice):
    make_credit(customer, 100)
    finalize(invoice, now=START)
    submit(staff_client, url("billing_invoice_void_one", invoice.pk), reason="Wrong")
    assert Invoice.objects.get().state == "void"
    assert sum(Wallet.objects.values_list("balance", flat=True)) == 105


# --- taxes -----------------------------------------------------------------------------------------------


def inline(prefix, **rows):
    return {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0} | {f"{prefix}-{k}": v for k, v in rows.items()}


def test_only_the_name_of_an_existing_tax_can_be_changed(staff_client):
    answers = {"code": "VAT", "name": "VAT", "percentage": "19", "country": "DE"}
    staff_client.post(url("billing_taxrate_add"), answers)
    rate = TaxRate.objects.get()
    changed = {"code": "OTHER", "name": "VAT Germany", "percentage": "7", "country": "DE", **inline("assignments")}
    assert staff_client.post(change("taxrate", rate), changed).status_code == 302
    rate.refresh_from_db()
    assert (rate.code, rate.name, rate.percentage) == ("VAT", "VAT Germany", 19)


def test_tax_is_assigned_to_all_customers_or_to_one_on_its_page(staff_client, customer):
    rate = make_tax(19)
    rate.assignments.all().delete()
    rows = {
        "assignments-TOTAL_FORMS": 2, "assignments-INITIAL_FORMS": 0, "assignments-0-position": 1,
        "assignments-1-customer": customer.pk, "assignments-1-position": 2,
    }  # fmt: skip
    answer = staff_client.post(change("taxrate", rate), {"name": "VAT", **rows})
    assert answer.status_code == 302
    assert list(TaxAssignment.objects.values_list("customer", "position")) == [(None, 1), (customer.pk, 2)]


def test_tax_is_archived_with_a_reason_and_activated_again(staff_client, staff_user):
    rate = make_tax(19)
    submit(staff_client, url("billing_taxrate_archive", rate.pk), reason="Rate of last year")
    rate.refresh_from_db()
    assert rate.archived_at is not None
    entry = changes_of([rate]).first()
    assert (entry.actor, entry.additional_data["reason"]) == (staff_user, "Rate of last year")
    submit(staff_client, url("billing_taxrate_activate", rate.pk))
    rate.refresh_from_db()
    assert rate.archived_at is None


# --- discounts -------------------------------------------------------------------------------------------


def coupon_answers(**answers):
    return {"code": "TEN", "name": "Ten", "percent_off": "10", "duration": "once", "scope": "everything"} | answers


def test_discount_is_added(staff_client):
    feature = make_feature()
    answers = coupon_answers(scope="chosen", features=[feature.pk], duration="repeated", periods=3)
    assert staff_client.post(url("billing_coupon_add"), answers).status_code == 302
    coupon = Coupon.objects.get()
    assert (coupon.percent_off, coupon.limit, list(coupon.features.all())) == (10, 3, [feature])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"percent_off": ""}, "Enter either a positive percentage"),
        ({"amount_off": "5", "currency": "USD"}, "Enter either a positive percentage"),
        ({"duration": "repeated"}, "Enter a number of invoices"),
        ({"scope": "chosen"}, "Select features or plans"),
    ],
)
def test_invalid_discount_is_refused_with_the_reason(staff_client, answers, message):
    shown = staff_client.post(url("billing_coupon_add"), coupon_answers(**answers)).content.decode()
    assert message in shown
    assert not Coupon.objects.exists()


def test_discount_is_applied_and_ended_with_a_reason(staff_client, staff_user, customer):
    coupon = make_coupon(10)
    add = url("billing_couponapplication_add", coupon=coupon.pk)
    answers = {"coupon": coupon.pk, "customer": customer.pk, "reason": "Loyal"}
    assert staff_client.post(add, answers).status_code == 302
    application = CouponApplication.objects.get()
    assert (application.applied_by, application.reason, application.ended_at) == (staff_user, "Loyal", None)
    submit(staff_client, url("billing_couponapplication_end_it", application.pk), reason="Left the programme")
    application.refresh_from_db()
    assert application.ended_at is not None


def test_discount_that_does_not_apply_is_refused(staff_client, customer):
    other = make_subscription(plan=make_plan())
    archived, euros = make_coupon(10, archived_at=timezone.now()), make_coupon(amount=5, currency="EUR")
    subscription_in_dollars = make_subscription(customer=customer, plan=make_plan())
    for coupon, subscription, message in (
        (archived, None, "is archived"),
        (euros, subscription_in_dollars, "is billed in USD"),
        (make_coupon(10), other, "isn&#x27;t a subscription of Acme"),
    ):
        answers = {"coupon": coupon.pk, "customer": customer.pk, "subscription": getattr(subscription, "pk", "")}
        assert message in staff_client.post(url("billing_couponapplication_add"), answers).content.decode()
    assert not CouponApplication.objects.exists()


def test_applied_discount_lists_the_invoices_it_reduced(staff_client, invoice):
    shown = page(staff_client, change("couponapplication", CouponApplication.objects.get()))
    assert change("invoice", invoice) in shown
    assert "$3.00" in shown
    assert CouponUse.objects.count() == 1


# --- credit ----------------------------------------------------------------------------------------------


def test_granting_credit_defaults_to_the_customers_currency(staff_client):
    yen = make_customer(name="Mirai", currency="JPY")
    assert 'value="JPY"' in page(staff_client, url("customers_customer_grant_credit", yen.pk))


def test_transaction_is_shown_in_its_currency(staff_client, customer):
    answers = {"amount": "25", "currency": "usd", "kind": "promotional", "reason": "Outage"}
    submit(staff_client, url("customers_customer_grant_credit", customer.pk), **answers)
    shown = page(staff_client, url("billing_walletentry_change", WalletEntry.objects.get().pk))
    assert "Granted: $25.00" in shown
    assert "25.0000" not in shown


def test_credit_is_granted_on_the_customers_page(staff_client, staff_user, customer):
    answers = {"amount": "25", "currency": "usd", "kind": "promotional", "reason": "Outage", "last_day": "2099-12-31"}
    submit(staff_client, url("customers_customer_grant_credit", customer.pk), **answers)
    credit = CreditGrant.objects.get()
    assert (credit.remaining, credit.granted_by, credit.reason) == (25, staff_user, "Outage")
    assert credit.expires_at == utc(2100, 1, 1)
    assert "$25.00" in page(staff_client, url("customers_customer_change", customer.pk))


def test_credit_is_granted_and_revoked_and_the_wallet_closed(staff_client, customer):
    wallet = make_credit(customer, 50).wallet
    name = "billing_wallet_{}"
    submit(staff_client, url(name.format("grant_into"), wallet.pk), amount="10", kind="purchased", reason="Transfer")
    credit = CreditGrant.objects.get(kind="purchased")
    answers = {"of": credit.pk, "amount": "4", "how": "taken_back", "reason": "Too much"}
    submit(staff_client, url(name.format("take_out"), wallet.pk), **answers)
    wallet.refresh_from_db()
    assert wallet.balance == 56
    submit(staff_client, url(name.format("take_out"), wallet.pk), of=credit.pk, how="expired", reason="Agreed")
    submit(staff_client, url(name.format("close"), wallet.pk), reason="Left us")
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.state) == (0, "closed")
    assert list(WalletEntry.objects.values_list("kind", "amount")) == [
        ("taken_back", -50), ("expired", -6), ("taken_back", -4), ("granted", 10), ("granted", 50),
    ]  # fmt: skip


def test_granting_and_revoking_credit_require_a_reason(staff_client, customer):
    wallet = make_credit(customer, 50).wallet
    for action, answers in (
        ("grant_into", {"amount": "1", "kind": "purchased"}),
        ("take_out", {"of": CreditGrant.objects.get().pk, "how": "expired"}),
        ("close", {}),
    ):
        submit(staff_client, url(f"billing_wallet_{action}", wallet.pk), **answers)
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.state, WalletEntry.objects.count()) == (50, "active", 1)


def test_renaming_a_wallet_keeps_its_balance(staff_client, customer):
    wallet = make_credit(customer, 50).wallet
    answers = {
        "name": "Main", "priority": "2", "description": "",
        **inline("entries"), **inline("grants"),
    }  # fmt: skip
    assert staff_client.post(change("wallet", wallet), answers).status_code == 302
    wallet.refresh_from_db()
    assert (wallet.name, wallet.priority, wallet.balance) == ("Main", 2, 50)


# --- permissions and queries ------------------------------------------------------------------------------


def test_viewers_can_see_everything_and_change_nothing(customer, invoice):
    viewer = as_viewer("billing")
    wallet, rate = Wallet.objects.get(), TaxRate.objects.get()
    for name in LISTS:
        assert viewer.get(url(f"billing_{name}_changelist")).status_code == 200
        assert viewer.get(url(f"billing_{name}_add")).status_code == 403
    for address in (
        url("billing_wallet_grant_into", wallet.pk),
        url("billing_wallet_take_out", wallet.pk),
        url("billing_wallet_close", wallet.pk),
        url("billing_taxrate_archive", rate.pk),
        url("billing_coupon_archive", Coupon.objects.get().pk),
        url("billing_couponapplication_end_it", CouponApplication.objects.get().pk),
        url("customers_customer_grant_credit", customer.pk),
    ):
        submit(viewer, address, reason="Not allowed", amount="5", kind="purchased", currency="USD")
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.state, WalletEntry.objects.count()) == (5, "active", 1)
    assert TaxRate.objects.get().archived_at is None
    assert CouponApplication.objects.get().ended_at is None


@pytest.mark.parametrize("name", LISTS)
def test_empty_list_says_what_to_do_next(staff_client, name):
    shown = page(staff_client, url(f"billing_{name}_changelist"))
    assert any(
        title in shown
        for title in (
            "No taxes yet", "No discounts yet", "No applied discounts", "No prepaid credit yet",
            "No credit transactions yet",
        )
    )  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_list_length_does_not_change_query_count(staff_client, name):
    def add_rows():
        customer = make_customer()
        make_tax(10, of=customer)
        give(make_coupon(10), customer)
        make_credit(customer, 5)

    add_rows()
    address = url(f"billing_{name}_changelist")
    before = count_queries(staff_client, address)
    for _ in range(4):
        add_rows()
    assert count_queries(staff_client, address) == before


def test_transactions_are_exported_as_shown(staff_client, customer):
    make_credit(customer, 50)
    answer = staff_client.get(url("billing_walletentry_changelist"), {"_export": "xlsx"})
    sheet = openpyxl.load_workbook(io.BytesIO(answer.getvalue())).active
    rows = list(sheet.values)
    assert rows[0][2:7] == ("Customer", "External customer ID", "Type", "Amount", "Balance after")
    assert rows[1][2:7] == ("Acme", "acme", "Granted", 50, 50)


def test_taxes_of_a_customer_are_set_on_the_customers_page(staff_client, customer):
    rate = make_tax(7)
    rate.assignments.all().delete()
    answers = {
        "name": "Acme", "timezone": "UTC", "tax_treatment": "taxable", "metadata": "{}",
        "taxes-TOTAL_FORMS": 1, "taxes-INITIAL_FORMS": 0, "taxes-0-rate": rate.pk, "taxes-0-position": 1,
    }  # fmt: skip
    answers |= {**inline("subscriptions"), **inline("aliases")}
    assert staff_client.post(url("customers_customer_change", customer.pk), answers).status_code == 302
    assert TaxAssignment.objects.get().customer == customer


def test_finalize_dialog_shows_the_prepaid_credit_to_be_used(staff_client, invoice):
    shown = text_of(staff_client.get(url("billing_invoice_finalize_one", invoice.pk)))
    assert "$32.40" in shown
    assert "About $5.00 will be paid from prepaid credit" in shown
