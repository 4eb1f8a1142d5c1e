"""Wallets, coupons and taxes through the API, and on invoices."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.lifecycle.finalize import finalize
from billing.models import CreditGrant, Invoice, Wallet
from billing.runs.billing_run import run_to_end
from tests.api import Api
from tests.billing.adjusting import give, make_coupon, make_credit, make_tax
from tests.billing.world import D, use
from tests.factories import make_customer, make_feature, make_plan, make_subscription, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def subscription(acme):
    """Subscribe Acme 40 days ago to $1 a call; 80 calls in the first period, 20 in this one."""
    now = timezone.now()
    calls = make_feature(name="Calls")
    start = now - timedelta(days=40)
    version = make_version({"feature": calls, "unit_amount": D(1)})
    made = make_subscription(customer=acme, plan=version, starts_at=start, now=start)
    use(acme, calls, start + timedelta(hours=1), 80)
    use(acme, calls, now - timedelta(hours=1), 20)
    return made


# --- wallets ---------------------------------------------------------------------------------------------


def test_a_wallet_is_created_topped_up_and_retrieved(api, acme):
    body = {"external_customer_id": "acme", "currency": "usd", "initial_credits_to_load": "25", "conversion_rate": "1"}
    wallet = api.post("wallets", body)
    assert (wallet["balance"], wallet["currency"], wallet["wallet_status"]) == ("25.00", "USD", "active")
    top_up = {
        "transaction_reason": "PURCHASED_CREDIT_DIRECT", "amount": "100", "bonus_credits_to_add": "10",
        "idempotency_key": "p1", "description": "Bank transfer",
    }  # fmt: skip
    for _ in range(2):
        done = api.post(f"wallets/{wallet['id']}/top-up", top_up)
    assert (done["wallet"]["balance"], done["wallet_transaction"]["amount"]) == ("135.00", "100.00")
    assert done["wallet_transaction"]["transaction_reason"] == "PURCHASED_CREDIT_DIRECT"
    assert api.get(f"wallets/{wallet['id']}")["credit_balance"] == "135.00"
    assert CreditGrant.objects.count() == 3


def test_a_wallets_transactions_are_listed_newest_first(api, acme, subscription):
    wallet = make_credit(acme, 50).wallet
    run_to_end(as_of=timezone.now())
    invoice = Invoice.objects.get()
    finalize(invoice, now=timezone.now())
    listed = api.get(f"wallets/{wallet.public_id}/transactions")
    assert [(each["type"], each["amount"], each["transaction_reason"]) for each in listed["items"]] == [
        ("debit", "50.00", "INVOICE_PAYMENT"),
        ("credit", "50.00", "FREE_CREDIT_GRANT"),
    ]
    assert listed["items"][0]["reference_id"] == invoice.public_id
    assert api.post("wallets/transactions/search", {"type": "debit"})["pagination"]["total"] == 1
    asked = {"transaction_reason": "FREE_CREDIT_GRANT", "wallet_id": wallet.public_id}
    assert api.post("wallets/transactions/search", asked)["pagination"]["total"] == 1


def test_the_real_time_balance_deducts_usage_and_unpaid_invoices(api, acme, subscription):
    wallet = make_credit(acme, 150).wallet
    run_to_end(as_of=timezone.now())
    shown = api.get(f"wallets/{wallet.public_id}/balance/real-time")
    # 80 are in a draft, 20 are used since.
    assert (shown["balance"], shown["current_period_usage"], shown["real_time_balance"]) == (
        "150.00",
        "100.00",
        "50.00",
    )
    assert shown["credits_available_breakdown"] == {"free": "150.00", "purchased": "0.00"}


def test_a_customers_wallets_are_a_plain_list(api, acme):
    make_credit(acme, 5)
    for path in (f"customers/{acme.public_id}/wallets", f"customers/wallets?id={acme.public_id}"):
        assert [each["balance"] for each in api.get(path)] == ["5.00"]
    assert len(api.get("customers/wallets", lookup_key="acme")) == 1
    assert api.get("customers/wallets", status=400)["code"] == "validation_error"


def test_a_wallet_is_updated_debited_and_closed(api, acme):
    wallet = make_credit(acme, 50).wallet
    path = f"wallets/{wallet.public_id}"
    assert api.put(path, {"name": "Main", "priority": 3})["name"] == "Main"
    assert api.post(f"{path}/debit", {"amount": "20"})["balance"] == "30.00"
    assert "Only $30.00 remains" in api.post(f"{path}/debit", {"amount": "31"}, status=400)["message"]
    assert api.post(f"{path}/terminate")["wallet_status"] == "closed"
    assert api.get(path)["wallet_status"] == "closed"
    refused = api.post(f"{path}/top-up", {"transaction_reason": "FREE_CREDIT_GRANT", "amount": "1"}, status=400)
    assert (refused["code"], refused["message"]) == ("invalid_operation", "Main (USD) is closed.")
    assert api.post("wallets/search", {"status": ["closed"]})["pagination"]["total"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"external_customer_id": ""}, "customer_id"),
        ({"currency": "US"}, "currency"),
        ({"currency": "ZZZ"}, "currency"),
        ({"conversion_rate": "2"}, "conversion_rate"),
        ({"initial_credits_to_load": "-1"}, "initial_credits_to_load"),
        ({"initial_credits_to_load": "1", "initial_credits_to_load_expiry_date": 20261399}, "non_field_errors"),
    ],
)
def test_an_invalid_wallet_is_refused(api, acme, body, field):
    asked = {"external_customer_id": "acme", "currency": "USD"} | body
    assert field in api.post("wallets", asked, status=400)["details"]
    assert not Wallet.objects.exists()


def test_a_wallet_that_should_top_itself_up_is_refused(api, acme):
    body = {"external_customer_id": "acme", "currency": "USD", "auto_topup": {"enabled": True, "amount": "50"}}
    assert "aren't topped up automatically" in api.post("wallets", body, status=400)["message"]
    assert not Wallet.objects.exists()


def test_unknown_wallets_and_customers_are_not_found(api):
    api.get("wallets/wallet_0", status=404)
    api.get("customers/cust_0/wallets", status=404)
    api.post("wallets", {"customer_id": "cust_0", "currency": "USD"}, status=404)


# --- coupons ---------------------------------------------------------------------------------------------


def test_a_coupon_is_created_applied_and_ended(api, acme):
    made = api.post(
        "coupons",
        {
            "name": "Summer", "coupon_code": "SUMMER", "type": "percentage", "percentage_off": "25",
            "cadence": "repeated", "duration_in_periods": 3, "max_redemptions": 1,
        },
        status=201,
    )  # fmt: skip
    assert (made["percentage_off"], made["amount_off"], made["total_redemptions"]) == ("25", None, 0)
    applied = {"coupon_code": "SUMMER", "external_customer_id": "acme"}
    first = api.post("coupons/associations", applied, status=201)
    assert api.post("coupons/associations", applied, status=201)["id"] == first["id"]
    assert api.get("coupons/code/SUMMER")["total_redemptions"] == 1
    other = make_customer()
    refused = api.post("coupons/associations", {"coupon_id": made["id"], "customer_id": other.public_id}, status=400)
    assert refused["message"] == "SUMMER can't be applied again: its limit is 1."
    api.delete(f"coupons/associations/{first['id']}")
    assert api.get("coupons/associations", active_only="true")["pagination"]["total"] == 0
    assert api.get(f"coupons/associations/{first['id']}")["end_date"] is not None


def test_a_coupon_limited_to_features_and_plans_lists_them(api):
    calls, plan = make_feature(name="Calls"), make_plan()
    body = {
        "name": "Ten", "type": "fixed", "amount_off": "10", "currency": "USD", "cadence": "forever", "scope": "chosen",
        "feature_ids": [calls.public_id], "plan_ids": [plan.public_id],
    }  # fmt: skip
    made = api.post("coupons", body, status=201)
    assert (made["feature_ids"], made["plan_ids"], made["amount_off"]) == (
        [calls.public_id], [plan.public_id], "10.00",
    )  # fmt: skip
    assert len(made["coupon_code"]) == 8
    api.post("coupons", body | {"feature_ids": ["feat_0"]}, status=400)


def test_a_coupon_is_renamed_and_archived(api, acme):
    coupon = make_coupon(10, code="TEN")
    path = f"coupons/{coupon.public_id}"
    assert api.put(path, {"name": "Ten percent"})["name"] == "Ten percent"
    assert api.delete(path) == {"message": "Coupon archived"}
    assert api.post("coupons/search", {"status": "archived", "coupon_codes": ["TEN"]})["pagination"]["total"] == 1
    applied = {"coupon_code": "TEN", "external_customer_id": "acme"}
    assert api.post("coupons/associations", applied, status=400)["message"] == "TEN is archived."


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "fixed", "amount_off": "1"}, "currency"),
        ({"type": "fixed", "percentage_off": "1"}, "amount_off"),
        ({"type": "fixed", "amount_off": "1", "currency": "ZZZ"}, "currency"),
        ({"type": "fixed", "amount_off": "1.5", "currency": "JPY"}, "amount_off"),
        ({"type": "percentage", "percentage_off": "1", "amount_off": "1"}, "amount_off"),
        ({"type": "percentage", "percentage_off": "101"}, "percentage_off"),
        ({"type": "percentage", "percentage_off": "0"}, "percentage_off"),
        ({"type": "percentage", "percentage_off": "1", "cadence": "repeated"}, "duration_in_periods"),
        ({"type": "percentage", "percentage_off": "1", "scope": "chosen"}, "scope"),
        ({"type": "percentage", "percentage_off": "1", "rules": {"a": 1}}, "rules"),
    ],
)
def test_an_invalid_coupon_is_refused(api, body, field):
    asked = {"name": "X", "cadence": "once"} | body
    assert field in api.post("coupons", asked, status=400)["details"]


def test_coupon_and_tax_codes_are_unique(api):
    make_coupon(10, code="TEN")
    body = {"name": "X", "coupon_code": "TEN", "type": "percentage", "percentage_off": "1", "cadence": "once"}
    assert api.post("coupons", body, status=409)["code"] == "already_exists"


# --- taxes -----------------------------------------------------------------------------------------------


def test_a_tax_is_created_assigned_and_unassigned(api, acme, subscription):
    made = api.post("taxes/rates", {"code": "VAT", "name": "VAT", "percentage_value": "19"}, status=201)
    assert (made["percentage_value"], made["tax_behavior"], made["tax_rate_status"]) == ("19", "exclusive", "ACTIVE")
    body = {"tax_rate_code": "VAT", "entity_type": "customer", "external_customer_id": "acme", "priority": 2}
    assigned = api.post("taxes/associations", body)
    assert api.post("taxes/associations", body)["id"] == assigned["id"]
    assert (assigned["entity_id"], assigned["priority"]) == (acme.public_id, 2)
    assert api.post("taxes/associations", {"tax_rate_code": "VAT"})["entity_type"] == "tenant"
    own = {"tax_rate_code": "VAT", "entity_type": "subscription", "entity_id": subscription.public_id}
    assert api.post("taxes/associations", own)["entity_type"] == "subscription"
    assert api.get("taxes/associations", entity_type="customer")["pagination"]["total"] == 1
    assert api.put(f"taxes/associations/{assigned['id']}", {"priority": 7})["priority"] == 7
    ended = api.client.delete(f"/v1/taxes/associations/{assigned['id']}")
    assert (ended.json()["id"], ended.json()["priority"]) == (assigned["id"], 7)
    api.get(f"taxes/associations/{assigned['id']}", status=404)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"currency": "EUR"}, "currency"), ({"priority": 3}, "priority"), ({"currency": ""}, "currency")],
)
def test_a_tax_that_is_assigned_on_other_terms_is_refused_with_the_field(api, acme, changes, field):
    api.post("taxes/rates", {"code": "VAT", "name": "VAT", "percentage_value": "19"}, status=201)
    body = {"tax_rate_code": "VAT", "entity_type": "customer", "external_customer_id": "acme"}
    first = {"currency": "USD"} if changes != {"currency": "EUR"} else {}
    assigned = api.post("taxes/associations", body | first | {"priority": 2})
    refused = api.post("taxes/associations", body | first | changes, status=409)
    assert (refused["code"], list(refused["details"])) == ("already_exists", [field])
    assert [one["id"] for one in api.get("taxes/associations")["items"]] == [assigned["id"]]


def test_one_tax_cannot_be_given_two_currencies_for_a_new_customer(api):
    api.post("taxes/rates", {"code": "VAT", "name": "VAT", "percentage_value": "19"}, status=201)
    overrides = [{"tax_rate_code": "VAT", "currency": currency} for currency in ("eur", "usd")]
    refused = api.post("customers", {"external_id": "new", "name": "New", "tax_rate_overrides": overrides}, status=409)
    assert refused["message"] == "VAT is already assigned there with the currency EUR. End that assignment first."
    api.get("customers/external/new", status=404)


def test_a_tax_is_renamed_and_archived_but_keeps_its_percentage(api):
    rate = make_tax(19, code="VAT")
    path = f"taxes/rates/{rate.public_id}"
    assert api.put(path, {"name": "VAT Germany"})["percentage_value"] == "19"
    assert "Create a new tax rate" in api.put(path, {"percentage_value": "7"}, status=400)["message"]
    assert "code" in api.put(path, {"code": "OTHER"}, status=400)["details"]
    assert api.put(path, {"tax_rate_status": "INACTIVE"})["status"] == "archived"
    assert api.put(path, {"tax_rate_status": "ACTIVE"})["status"] == "published"
    api.delete(path, status=204)
    assert api.get("taxes/rates", taxrate_codes="VAT")["pagination"]["total"] == 0
    assert api.get("taxes/rates?taxrate_codes=VAT&status=archived")["pagination"]["total"] == 1
    assert "archived" in api.post("taxes/associations", {"tax_rate_code": "VAT"}, status=400)["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"entity_type": "subscription"}, "entity_id"),
        ({"entity_type": "customer"}, "entity_id"),
        ({"entity_id": "cust_1"}, "entity_type"),
        ({"tax_behavior": "inclusive"}, "tax_behavior"),
        ({"auto_apply": False}, "auto_apply"),
        ({"start_date": "2026-01-01T00:00:00Z"}, "start_date"),
    ],
)
def test_an_invalid_tax_assignment_is_refused(api, body, field):
    make_tax(19, code="VAT")
    assert field in api.post("taxes/associations", {"tax_rate_code": "VAT"} | body, status=400)["details"]


# --- invoices --------------------------------------------------------------------------------------------


def test_a_preview_shows_the_same_discounts_and_taxes_as_the_invoice(api, acme, subscription):
    give(make_coupon(25, scope="usage", code="QUARTER"), acme, starts_at=timezone.now() - timedelta(days=60))
    give(make_coupon(amount=10, code="TEN"), acme, starts_at=timezone.now() - timedelta(days=60))
    make_tax("8.25", code="SALES", name="Sales tax")
    make_credit(acme, 5)
    run_to_end(as_of=timezone.now())
    [shown] = api.get("invoices")["items"]
    names = ("subtotal", "total_discount", "total_tax", "total", "total_prepaid_credits_applied", "amount_due")
    # 80 less a quarter is 60, less 10 is 50; 8.25% of it is 4.125.
    assert [shown[name] for name in names] == ["80.00", "30.00", "4.13", "54.13", "5.00", "49.13"]
    [line] = shown["line_items"]
    assert [line[name] for name in ("amount", "line_item_discount", "invoice_level_discount")] == [
        "80.00", "20.00", "10.00",
    ]  # fmt: skip
    assert [(each["coupon_code"], each["discounted_amount"]) for each in shown["coupon_applications"]] == [
        ("QUARTER", "20.00"),
        ("TEN", "10.00"),
    ]
    [tax] = shown["taxes"]
    assert (tax["tax_rate_code"], tax["taxable_amount"], tax["tax_amount"]) == ("SALES", "50.00", "4.13")
    preview = api.post("invoices/preview", {"subscription_id": subscription.public_id})
    # 20 less a quarter is 15, less 10 is 5; 8.25% of it is 0.4125. The draft has the credit.
    assert [preview[name] for name in names] == ["20.00", "15.00", "0.41", "5.41", "0.00", "5.41"]
    assert preview["line_items"][0]["line_item_discount"] == "5.00"
    assert preview["tax_summary"]["exclusive_tax"] == "0.41"


def test_an_exempt_customers_invoice_names_the_reason(api, acme, subscription):
    api.put(f"customers/{acme.public_id}", {"tax_treatment": "reverse_charge", "tax_note": "Art. 196"})
    make_tax(19)
    preview = api.post("invoices/preview", {"subscription_id": subscription.public_id})
    assert preview["tax_exemption_reason_code"] == "reverse_charge"
    assert preview["tax_summary"]["exemption"] == {"reason": "Art. 196", "reason_code": "reverse_charge"}


@pytest.mark.parametrize("path", ["coupons", "coupons/associations", "taxes/rates", "taxes/associations", "wallets"])
def test_list_length_does_not_change_query_count(api, path):
    def queries():
        with CaptureQueriesContext(connection) as found:
            api.get(path)
        return len(found)

    def more():
        customer = make_customer()
        give(make_coupon(10, features=[make_feature()]), customer)
        make_tax(10, of=customer)
        make_credit(customer, 5)

    more()
    queries()
    before = queries()
    for _ in range(3):
        more()
    assert queries() == before


def test_a_read_only_key_cannot_change_wallets_coupons_or_taxes(acme):
    reader = Api("read")
    reader.get("wallets")
    for path in ("wallets", "coupons", "taxes/rates", "taxes/associations", "coupons/associations"):
        assert "billing:write" in reader.post(path, {}, status=403)["message"]


# --- subscriptions ---------------------------------------------------------------------------------------


def _subscribe(api, acme, status=201, **more):
    body = {
        "customer_id": acme.public_id, "plan_id": make_plan().public_id, "currency": "USD", "billing_period": "MONTHLY",
    }  # fmt: skip
    return api.post("subscriptions", body | more, status=status)


def test_a_subscription_starts_with_its_coupons_and_taxes(api, acme):
    first, second = make_coupon(50, code="HALF"), make_coupon(amount=1, code="ONE")
    rate = make_tax(20, code="VAT")
    rate.assignments.all().delete()
    made = _subscribe(
        api, acme, coupons=[first.public_id], subscription_coupons=[{"coupon_code": "ONE"}],
        tax_rate_overrides=[{"tax_rate_code": "VAT", "currency": "USD"}],
    )  # fmt: skip
    [applied, _] = api.get("coupons/associations", subscription_ids=made["id"])["items"]
    assert (applied["coupon"]["id"], applied["subscription_id"]) == (second.public_id, made["id"])
    preview = api.post("invoices/preview", {"subscription_id": made["id"]})
    # $10, half of it is 5, less 1 is 4, and 20% on top.
    assert (preview["subtotal"], preview["total"]) == ("10.00", "4.80")


def test_a_subscription_with_an_unknown_coupon_is_refused(api, acme):
    assert "coupons" in _subscribe(api, acme, status=400, coupons=["NONE"])["details"]
    archived = make_coupon(50, code="OLD", archived_at=timezone.now())
    assert _subscribe(api, acme, status=400, coupons=[archived.code])["message"] == "OLD is archived."
    chosen = [{"coupon_code": "OLD", "price_id": "price_1"}]
    assert "subscription_coupons[0].price_id" in _subscribe(api, acme, 400, subscription_coupons=chosen)["details"]
    assert not acme.subscriptions.exists()


def test_a_subscriptions_coupons_and_taxes_are_updated(api, acme, subscription):
    make_coupon(50, code="HALF")
    rate = make_tax(20, code="VAT")
    rate.assignments.all().delete()
    path = f"subscriptions/{subscription.public_id}/modify/execute"
    coupon = {"type": "coupon", "coupon_params": {"action": "add", "coupon_code": "HALF"}}
    assert api.post(path, coupon)["subscription"]["id"] == subscription.public_id
    api.post(path, {"type": "tax", "tax_params": {"action": "add", "tax_rate_id": rate.public_id}})
    preview = api.post("invoices/preview", {"subscription_id": subscription.public_id})
    assert (preview["total_discount"], preview["total"]) == ("10.00", "12.00")
    [applied] = api.get("coupons/associations", subscription_ids=subscription.public_id)["items"]
    [assigned] = api.get("taxes/associations", entity_type="subscription")["items"]
    remove = {"action": "remove", "coupon_association_id": applied["id"]}
    api.post(path, {"type": "coupon", "coupon_params": remove})
    api.post(path, {"type": "tax", "tax_params": {"action": "remove", "tax_association_id": assigned["id"]}})
    assert api.post("invoices/preview", {"subscription_id": subscription.public_id})["total"] == "20.00"
    assert "type" in api.post(path, {"type": "other"}, status=400)["details"]


def test_an_archived_coupon_and_tax_rate_are_activated(api):
    coupon = api.post(
        "coupons",
        {"name": "Summer", "coupon_code": "SUN", "type": "percentage", "percentage_off": "5", "cadence": "once"},
        201,
    )
    rate = api.post("taxes/rates", {"code": "VAT", "name": "VAT", "percentage_value": "19"}, 201)
    api.delete(f"coupons/{coupon['id']}")
    api.delete(f"taxes/rates/{rate['id']}", status=204)
    for _ in range(2):
        assert api.post(f"coupons/{coupon['id']}/activate", {"reason": "Again"})["status"] == "published"
        assert api.post(f"taxes/rates/{rate['id']}/activate")["tax_rate_status"] == "ACTIVE"


def test_a_new_customer_has_the_taxes_of_its_request(api):
    rate = make_tax(7, of=make_customer())
    body = {"external_id": "new", "name": "New"}
    made = api.post("customers", body | {"tax_rate_overrides": [{"tax_rate_code": rate.code, "currency": "usd"}]}, 201)
    [row] = api.get("taxes/associations", external_customer_id="new")["items"]
    assert (row["tax_rate_id"], row["entity_id"], row["currency"]) == (rate.public_id, made["id"], "USD")
    unknown = body | {"external_id": "other", "tax_rate_overrides": [{"tax_rate_code": "NONE"}]}
    api.post("customers", unknown, status=404)
    assert api.get("customers", external_id="other")["items"] == []
