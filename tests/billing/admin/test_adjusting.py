"""Taxes, discounts and prepaid credit in the admin: pages, actions, and who may."""

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
from tests.admin_pages import as_viewer, queries_of, submit, text_of, url
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


def test_an_invoices_page_shows_the_whole_order_of_its_computation(staff_client, invoice):
    finalize(invoice, now=START)
    shown = page(staff_client, change("invoice", invoice))
    order = [
        "Subtotal", "$30.00", "Ten percent (TEN): 10% off", "-$3.00", "Taxable", "$27.00", "VAT 20% of $27.00", "$5.40",
        "Total", "$32.40", "Prepaid credit", "-$5.00", "Amount due", "$27.40",
    ]  # fmt: skip
    foot = shown[shown.index('class="ch-invoice-totals"') :]
    places: list[int] = []
    for text in order:
        places.append(foot.index(text, places[-1] if places else 0))
    assert places == sorted(places)


def test_an_invoices_credit_leads_to_its_movements(staff_client, invoice):
    finalize(invoice, now=START)
    leads = url("billing_walletentry_changelist", invoice__id__exact=invoice.pk)
    assert leads in page(staff_client, change("invoice", invoice))
    assert "Applied to an invoice" in page(staff_client, leads)


def test_the_upcoming_invoices_page_shows_the_same_order(staff_client, invoice):
    shown = page(staff_client, url("billing_subscription_upcoming", invoice.subscription_id))
    assert "VAT 20% of $30.00" in shown
    assert "$36.00" in shown


def test_an_invoice_paid_from_credit_alone_can_still_be_voided(staff_client, customer, invoice):
    make_credit(customer, 100)
    finalize(invoice, now=START)
    submit(staff_client, url("billing_invoice_void_one", invoice.pk), reason="Wrong")
    assert Invoice.objects.get().state == "void"
    assert sum(Wallet.objects.values_list("balance", flat=True)) == 105


# --- taxes -----------------------------------------------------------------------------------------------


def inline(prefix, **rows):
    return {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0} | {f"{prefix}-{k}": v for k, v in rows.items()}


def test_a_tax_is_added_and_then_only_its_name_changes(staff_client):
    answers = {"code": "VAT", "name": "VAT", "percentage": "19", "country": "DE"}
    staff_client.post(url("billing_taxrate_add"), answers)
    rate = TaxRate.objects.get()
    changed = {"code": "OTHER", "name": "VAT Germany", "percentage": "7", "country": "DE", **inline("assignments")}
    assert staff_client.post(change("taxrate", rate), changed).status_code == 302
    rate.refresh_from_db()
    assert (rate.code, rate.name, rate.percentage) == ("VAT", "VAT Germany", 19)


def test_a_tax_is_assigned_to_everybody_and_to_one_customer_on_its_page(staff_client, customer):
    rate = make_tax(19)
    rate.assignments.all().delete()
    rows = {
        "assignments-TOTAL_FORMS": 2, "assignments-INITIAL_FORMS": 0, "assignments-0-position": 1,
        "assignments-1-customer": customer.pk, "assignments-1-position": 2,
    }  # fmt: skip
    answer = staff_client.post(change("taxrate", rate), {"name": "VAT", **rows})
    assert answer.status_code == 302
    assert list(TaxAssignment.objects.values_list("customer", "position")) == [(None, 1), (customer.pk, 2)]


def test_a_tax_is_archived_with_a_reason_and_activated(staff_client, staff_user):
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


def coupon_answers(**given):
    return {"code": "TEN", "name": "Ten", "percent_off": "10", "duration": "once", "scope": "everything"} | given


def test_a_discount_is_added(staff_client):
    feature = make_feature()
    answers = coupon_answers(scope="chosen", features=[feature.pk], duration="repeated", periods=3)
    assert staff_client.post(url("billing_coupon_add"), answers).status_code == 302
    coupon = Coupon.objects.get()
    assert (coupon.percent_off, coupon.limit, list(coupon.features.all())) == (10, 3, [feature])


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"percent_off": ""}, "Give either a percentage above 0"),
        ({"amount_off": "5", "currency": "USD"}, "Give either a percentage above 0"),
        ({"duration": "repeated"}, "Say for how many invoices"),
        ({"scope": "chosen"}, "Choose features or plans"),
    ],
)
def test_a_discount_that_cannot_be_is_refused_with_the_reason(staff_client, answers, says):
    shown = staff_client.post(url("billing_coupon_add"), coupon_answers(**answers)).content.decode()
    assert says in shown
    assert not Coupon.objects.exists()


def test_a_discount_is_applied_and_ended_with_a_reason(staff_client, staff_user, customer):
    coupon = make_coupon(10)
    add = url("billing_couponapplication_add", coupon=coupon.pk)
    answers = {"coupon": coupon.pk, "customer": customer.pk, "reason": "Loyal"}
    assert staff_client.post(add, answers).status_code == 302
    application = CouponApplication.objects.get()
    assert (application.applied_by, application.reason, application.ended_at) == (staff_user, "Loyal", None)
    submit(staff_client, url("billing_couponapplication_end_it", application.pk), reason="Left the programme")
    application.refresh_from_db()
    assert application.ended_at is not None


def test_a_discount_is_applied_only_where_it_can_be(staff_client, customer):
    other = make_subscription(plan=make_plan())
    archived, euros = make_coupon(10, archived_at=timezone.now()), make_coupon(amount=5, currency="EUR")
    own = make_subscription(customer=customer, plan=make_plan())
    for coupon, subscription, says in (
        (archived, None, "is archived"),
        (euros, own, "is billed in USD"),
        (make_coupon(10), other, "isn&#x27;t a subscription of Acme"),
    ):
        answers = {"coupon": coupon.pk, "customer": customer.pk, "subscription": getattr(subscription, "pk", "")}
        assert says in staff_client.post(url("billing_couponapplication_add"), answers).content.decode()
    assert not CouponApplication.objects.exists()


def test_an_applied_discount_lists_the_invoices_that_it_reduced(staff_client, invoice):
    shown = page(staff_client, change("couponapplication", CouponApplication.objects.get()))
    assert change("invoice", invoice) in shown
    assert "$3.00" in shown
    assert CouponUse.objects.count() == 1


# --- credit ----------------------------------------------------------------------------------------------


def test_credit_is_offered_in_the_customers_currency(staff_client):
    yen = make_customer(name="Mirai", currency="JPY")
    assert 'value="JPY"' in page(staff_client, url("customers_customer_grant_credit", yen.pk))


def test_a_movement_is_shown_with_its_currency(staff_client, customer):
    answers = {"amount": "25", "currency": "usd", "kind": "promotional", "reason": "Outage"}
    submit(staff_client, url("customers_customer_grant_credit", customer.pk), **answers)
    shown = page(staff_client, url("billing_walletentry_change", WalletEntry.objects.get().pk))
    assert "Granted: $25.00" in shown
    assert "25.0000" not in shown


def test_credit_is_granted_from_the_customers_page(staff_client, staff_user, customer):
    answers = {"amount": "25", "currency": "usd", "kind": "promotional", "reason": "Outage", "last_day": "2099-12-31"}
    submit(staff_client, url("customers_customer_grant_credit", customer.pk), **answers)
    given = CreditGrant.objects.get()
    assert (given.remaining, given.granted_by, given.reason) == (25, staff_user, "Outage")
    assert given.expires_at == utc(2100, 1, 1)
    assert "$25.00" in page(staff_client, url("customers_customer_change", customer.pk))


def test_credit_is_granted_taken_back_and_the_wallet_closed(staff_client, customer):
    wallet = make_credit(customer, 50).wallet
    name = "billing_wallet_{}"
    submit(staff_client, url(name.format("grant_into"), wallet.pk), amount="10", kind="purchased", reason="Transfer")
    given = CreditGrant.objects.get(kind="purchased")
    answers = {"of": given.pk, "amount": "4", "how": "taken_back", "reason": "Too much"}
    submit(staff_client, url(name.format("take_out"), wallet.pk), **answers)
    wallet.refresh_from_db()
    assert wallet.balance == 56
    submit(staff_client, url(name.format("take_out"), wallet.pk), of=given.pk, how="expired", reason="Agreed")
    submit(staff_client, url(name.format("close"), wallet.pk), reason="Left us")
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.state) == (0, "closed")
    assert list(WalletEntry.objects.values_list("kind", "amount")) == [
        ("taken_back", -50), ("expired", -6), ("taken_back", -4), ("granted", 10), ("granted", 50),
    ]  # fmt: skip


def test_moving_credit_needs_a_reason(staff_client, customer):
    wallet = make_credit(customer, 50).wallet
    for action, answers in (
        ("grant_into", {"amount": "1", "kind": "purchased"}),
        ("take_out", {"of": CreditGrant.objects.get().pk, "how": "expired"}),
        ("close", {}),
    ):
        submit(staff_client, url(f"billing_wallet_{action}", wallet.pk), **answers)
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.state, WalletEntry.objects.count()) == (50, "active", 1)


def test_renaming_a_wallet_leaves_a_balance_that_moved_meanwhile(staff_client, customer):
    wallet = make_credit(customer, 50).wallet
    answers = {
        "name": "Main", "priority": "2", "description": "",
        **inline("entries"), **inline("grants"),
    }  # fmt: skip
    assert staff_client.post(change("wallet", wallet), answers).status_code == 302
    wallet.refresh_from_db()
    assert (wallet.name, wallet.priority, wallet.balance) == ("Main", 2, 50)


# --- who may, and what it costs --------------------------------------------------------------------------


def test_viewers_see_everything_and_move_nothing(customer, invoice):
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
        submit(viewer, address, reason="Mine", amount="5", kind="purchased", currency="USD")
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.state, WalletEntry.objects.count()) == (5, "active", 1)
    assert TaxRate.objects.get().archived_at is None
    assert CouponApplication.objects.get().ended_at is None


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_list_says_what_to_do_next(staff_client, name):
    shown = page(staff_client, url(f"billing_{name}_changelist"))
    assert any(
        title in shown
        for title in (
            "No taxes: invoices are without", "No discounts yet", "No discount is applied", "Nobody has prepaid credit",
            "No credit has moved",
        )
    )  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_cost_the_same_queries_whatever_their_length(staff_client, name):
    def more():
        owner = make_customer()
        make_tax(10, of=owner)
        give(make_coupon(10), owner)
        make_credit(owner, 5)

    more()
    address = url(f"billing_{name}_changelist")
    before = queries_of(staff_client, address)
    for _ in range(4):
        more()
    assert queries_of(staff_client, address) == before


def test_movements_are_exported_as_shown(staff_client, customer):
    make_credit(customer, 50)
    address = url("billing_walletentry_export")
    answer = staff_client.post(address, {"format": "1", "resource": "", "export_items": []})
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    rows = list(sheet.values)
    assert rows[0][2:7] == ("Customer", "External id", "Kind", "Amount", "Balance after")
    assert rows[1][2:7] == ("Acme", "acme", "Granted", 50, 50)


def test_a_customers_own_taxes_are_set_on_its_page(staff_client, customer):
    rate = make_tax(7)
    rate.assignments.all().delete()
    answers = {
        "name": "Acme", "timezone": "UTC", "tax_treatment": "taxable", "metadata": "{}",
        "taxes-TOTAL_FORMS": 1, "taxes-INITIAL_FORMS": 0, "taxes-0-rate": rate.pk, "taxes-0-position": 1,
    }  # fmt: skip
    answers |= {**inline("subscriptions"), **inline("aliases")}
    assert staff_client.post(url("customers_customer_change", customer.pk), answers).status_code == 302
    assert TaxAssignment.objects.get().customer == customer


def test_finalizing_says_before_what_it_takes_from_credit(staff_client, invoice):
    shown = text_of(staff_client.get(url("billing_invoice_finalize_one", invoice.pk)))
    assert "$32.40" in shown
    assert "About $5.00 will be paid from prepaid credit" in shown
