from decimal import Decimal
from html import unescape

import pytest

from catalog.models import PlanVersion, Price
from catalog.publishing import get_or_create_draft
from tests.admin_pages import submit, url
from tests.factories import (
    make_draft,
    make_entitlement,
    make_feature,
    make_price,
    make_version,
)

pytestmark = pytest.mark.django_db

NO_TIERS = {
    "tiers-TOTAL_FORMS": "0",
    "tiers-INITIAL_FORMS": "0",
    "tiers-MIN_NUM_FORMS": "0",
    "tiers-MAX_NUM_FORMS": "1000",
}


def test_adding_a_plan_opens_its_draft(staff_client):
    response = staff_client.post(
        url("catalog_plan_add"),
        {"name": "Starter", "display_order": "0", "versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"},
    )

    draft = PlanVersion.objects.get(plan__name="Starter")
    assert response.url == url("catalog_planversion_change", draft.pk)
    assert draft.is_held  # published by hand only


def test_a_price_is_added_with_its_tiers(staff_client):
    draft, tokens = make_draft(), make_feature(field="tokens")
    answers = {
        "version": draft.pk,
        "kind": "usage",
        "feature": tokens.pk,
        "currency": "USD",
        "interval": "month",
        "interval_count": "1",
        "cadence": "arrears",
        "model": "graduated",
        "quantity": "1",
        "package_rounding": "up",
        "convert_multiply_by": "1",
        "convert_divide_by": "1",
        "convert_rounding": "none",
        "position": "0",
        **NO_TIERS,
        "tiers-TOTAL_FORMS": "2",
        "tiers-0-up_to": "1000",
        "tiers-0-unit_amount": "0.01",
        "tiers-0-flat_amount": "0",
        "tiers-0-rate_percent": "0",
        "tiers-1-up_to": "",
        "tiers-1-unit_amount": "0.0025",
        "tiers-1-flat_amount": "0",
        "tiers-1-rate_percent": "0",
    }

    assert staff_client.post(url("catalog_price_add"), answers).url == url("catalog_planversion_change", draft.pk)
    assert [(tier.up_to, tier.unit_amount) for tier in Price.objects.get().tiers.all()] == [
        (Decimal(1000), Decimal("0.01")),
        (None, Decimal("0.0025")),
    ]

    refused = staff_client.post(url("catalog_price_add"), {**answers, "tiers-0-up_to": ""}).content.decode()
    assert "Two tiers end at the same quantity" in refused

    flat = Price.objects.get()
    staff_client.post(
        url("catalog_price_change", flat.pk), {**answers, **NO_TIERS, "model": "per_unit", "unit_amount": "0.5"}
    )
    flat.refresh_from_db()
    assert (flat.model, flat.unit_amount, flat.tiers.count()) == ("per_unit", Decimal("0.5"), 0)


def test_an_incomplete_price_shows_what_is_missing(staff_client):
    draft = make_draft()
    answers = {"version": draft.pk, "kind": "usage", "currency": "USD", "interval": "month", "interval_count": "1"}
    answers |= {"cadence": "arrears", "model": "package", "quantity": "1", "package_rounding": "up", "unit_amount": "1"}
    answers |= {"convert_multiply_by": "1", "convert_divide_by": "1", "convert_rounding": "none", "position": "0"}

    page = staff_client.post(url("catalog_price_add"), answers | NO_TIERS).content.decode()

    assert "A usage price needs a feature" in page
    assert "A package price needs a positive package size" in page


def test_no_price_can_be_added_to_a_published_version(staff_client):
    version = make_version({}, name="Pro")
    answers = {"version": version.pk, "kind": "fixed", "currency": "USD", "interval": "month", "model": "flat"}

    page = staff_client.post(url("catalog_price_add"), answers | NO_TIERS).content.decode()

    assert "Pro v1 is published and can&#x27;t be changed" in page


def test_a_published_version_and_its_prices_are_read_only(staff_client):
    version = make_version({}, free_units={make_feature(): Decimal(5)})
    price = version.prices.get()

    for address in (url("catalog_planversion_change", version.pk), url("catalog_price_change", price.pk)):
        page = staff_client.get(address)
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()
        assert staff_client.post(address, {"note": "x"}).status_code == 403
    assert staff_client.post(url("catalog_price_delete", price.pk), {"post": "yes"}).status_code == 403
    assert staff_client.post(url("catalog_planversion_delete", version.pk), {"post": "yes"}).status_code == 403


def test_a_draft_shows_why_it_cannot_be_published(staff_client):
    price = make_price(version=make_draft(), name="Tokens", model="volume")

    page = staff_client.get(url("catalog_planversion_change", price.version_id)).content.decode()

    assert "Tokens (USD, monthly): tiers: Volume needs tiers." in page


def test_publishing_shows_the_changes_requires_a_note_and_happens_once(staff_client, staff_user):
    version = make_version({"feature": make_feature(name="Calls"), "unit_amount": Decimal(1)})
    draft = get_or_create_draft(version.plan, by=None, held=True)
    draft.prices.update(unit_amount=Decimal(2))
    address = url("catalog_planversion_publish_version", draft.pk)

    dialog = staff_client.get(address).content.decode()
    assert "$1.00 per unit; per month" in dialog
    assert "$2.00 per unit; per month" in dialog
    assert "This field is required" in submit(staff_client, address, note="").content.decode()

    response = submit(staff_client, address, note="Dearer")
    assert response.headers["HX-Redirect"] == url("catalog_planversion_change", draft.pk)
    draft.refresh_from_db()
    assert (draft.is_published, draft.published_by, draft.note) == (True, staff_user, "Dearer")
    assert submit(staff_client, address, note="Again").status_code == 403


def test_publishing_an_incomplete_version_changes_nothing(staff_client):
    draft = make_draft()
    address = url("catalog_planversion_publish_version", draft.pk)

    submit(staff_client, address, note="Try")

    draft.refresh_from_db()
    assert not draft.is_published
    assert draft.note == ""
    page = staff_client.get(url("catalog_planversion_change", draft.pk)).content.decode()
    assert "the version has no prices and no free tiers" in page


def test_a_new_version_created_by_staff_is_on_hold(staff_client):
    version = make_version({})

    response = submit(staff_client, url("catalog_planversion_new_version", version.pk))

    draft = version.plan.versions.get(state="draft")
    assert response.headers["HX-Redirect"] == url("catalog_planversion_change", draft.pk)
    assert draft.is_held


def test_free_tiers_are_edited_on_the_draft(staff_client):
    entitlement = make_entitlement(version=make_draft(), free_units=Decimal(10))
    page = staff_client.get(url("catalog_planversion_change", entitlement.version_id)).content.decode()
    assert 'value="10"' in page

    prices = {"prices-TOTAL_FORMS": "0", "prices-INITIAL_FORMS": "0"}
    answers: dict[str, object] = {"trial_days": "7", "is_held": "on", "note": "", **prices}
    answers |= {"entitlements-TOTAL_FORMS": "1", "entitlements-INITIAL_FORMS": "1"}
    answers |= {"entitlements-0-id": entitlement.pk, "entitlements-0-version": entitlement.version_id}
    answers |= {"entitlements-0-feature": entitlement.feature_id, "entitlements-0-free_units": "25"}
    answers |= {"entitlements-0-reset": "period", "entitlements-0-is_enabled": "on"}
    assert staff_client.post(url("catalog_planversion_change", entitlement.version_id), answers).status_code == 302

    entitlement.refresh_from_db()
    assert (entitlement.free_units, entitlement.version.trial_days) == (Decimal(25), 7)


def tiered_answers(draft, feature, **more):
    """Fill in the form of a graduated price without tiers."""
    return {
        "version": draft.pk,
        "kind": "usage",
        "feature": feature.pk,
        "currency": "USD",
        "interval": "month",
        "interval_count": "1",
        "cadence": "arrears",
        "model": "graduated",
        "quantity": "1",
        "package_rounding": "up",
        "convert_multiply_by": "1",
        "convert_divide_by": "1",
        "convert_rounding": "none",
        "position": "0",
        **NO_TIERS,
        **more,
    }


@pytest.mark.parametrize("model", ["graduated", "volume", "graduated_percentage"])
def test_a_tiered_price_needs_a_tier(staff_client, model):
    answers = tiered_answers(make_draft(), make_feature(field="tokens"), model=model)
    assert "needs tiers. Add a tier below" in staff_client.post(url("catalog_price_add"), answers).content.decode()
    assert not Price.objects.exists()


def tier(number, up_to, amount, **more):
    named = {"up_to": up_to, "unit_amount": amount, "flat_amount": "0", "rate_percent": "0", **more}
    return {f"tiers-{number}-{name}": value for name, value in named.items()}


def test_the_last_tier_cannot_be_deleted(staff_client):
    draft, tokens = make_draft(), make_feature(field="tokens")
    answers = tiered_answers(draft, tokens, **{"tiers-TOTAL_FORMS": "1"}, **tier(0, "", "0.01"))
    staff_client.post(url("catalog_price_add"), answers)
    price = Price.objects.get()
    counts = {"tiers-TOTAL_FORMS": "1", "tiers-INITIAL_FORMS": "1"}
    gone = tier(0, "", "0.01", id=price.tiers.get().pk, price=price.pk, DELETE="on")
    refused = staff_client.post(url("catalog_price_change", price.pk), answers | counts | gone)
    assert "needs tiers. Add a tier below" in refused.content.decode()
    assert price.tiers.count() == 1


def test_a_versions_history_shows_each_tier(staff_client):
    draft, tokens = make_draft(), make_feature(name="Tokens", field="tokens")
    two = {"tiers-TOTAL_FORMS": "2"}
    answers = tiered_answers(draft, tokens, **two, **tier(0, "1000", "0.01"), **tier(1, "", "0.0025"))
    staff_client.post(url("catalog_price_add"), answers)
    price = Price.objects.get()
    first, last = price.tiers.order_by("pk")
    kept = tier(0, "1000", "0.02", id=first.pk, price=price.pk)
    gone = tier(1, "", "0.0025", id=last.pk, price=price.pk, DELETE="on")
    new = tier(2, "", "0.005", price=price.pk)
    counts = {"tiers-TOTAL_FORMS": "3", "tiers-INITIAL_FORMS": "2"}
    answer = staff_client.post(url("catalog_price_change", price.pk), answers | counts | kept | gone | new)
    assert answer.status_code == 302
    for page in (url("catalog_planversion_history", draft.pk), url("catalog_price_history", price.pk)):
        text = " ".join(unescape(staff_client.get(page).content.decode()).split())
        assert "Added tier of Tokens: up to 1,000 at $0.01" in text
        assert "Added tier of Tokens: then $0.0025" in text
        assert "Removed tier of Tokens: then $0.0025" in text
        assert "Changed tier “up to 1,000” of Tokens" in text
        assert "0.010000000000" not in text
        assert text.count("Added tier") == 3
