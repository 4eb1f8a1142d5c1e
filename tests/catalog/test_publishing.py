import threading
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from catalog.models import PlanVersion, PriceTier
from catalog.plans import activate_plan, archive_plan
from catalog.publishing import NothingPublished, PlanArchived, get_or_create_draft, get_published_version, publish
from config.audit import changes_of
from tests.factories import (
    NOW,
    make_draft,
    make_entitlement,
    make_feature,
    make_fee,
    make_plan,
    make_price,
    make_user,
    make_version,
)

pytestmark = pytest.mark.django_db


def faults(version: PlanVersion) -> list[str]:
    with pytest.raises(ValidationError) as refusal:
        publish(version, now=NOW, by=None)
    return refusal.value.messages


def test_a_new_plan_has_a_draft_with_number_1():
    draft = make_draft()

    assert (draft.number, draft.is_published) == (1, False)
    assert get_or_create_draft(draft.plan, by=None) == draft


def test_a_published_version_has_its_author_and_time():
    draft, user = make_draft(), make_user()
    make_fee(version=draft)

    publish(draft, now=NOW, by=user, reason="Spring prices")

    assert (draft.is_published, draft.published_at, draft.published_by) == (True, NOW, user)
    entry = changes_of([draft])[0]
    assert (entry.actor, entry.additional_data["reason"]) == (user, "Spring prices")


def test_publishing_twice_changes_nothing():
    version = make_version({"unit_amount": Decimal(1)})
    before = version.updated_at

    assert publish(version, now=NOW, by=make_user()).updated_at == before


@pytest.mark.parametrize("what", ["price", "tier", "entitlement", "version"])
def test_the_database_refuses_to_change_a_published_version(what):
    version = make_version(
        {"model": "graduated", "tiers": [(Decimal(10), Decimal(1)), (None, Decimal(2))]},
        free_units={make_feature(): Decimal(5)},
    )
    rows = {
        "price": version.prices.get(),
        "tier": PriceTier.objects.filter(up_to=None).get(),
        "entitlement": version.entitlements.get(),
        "version": version,
    }

    with pytest.raises(DatabaseError), transaction.atomic():
        rows[what].save()
    with pytest.raises(DatabaseError), transaction.atomic():
        rows[what].delete()


def test_a_drafts_rows_can_not_be_moved_into_a_published_version():
    tiers = {"model": "graduated", "tiers": [(Decimal(10), Decimal(1)), (None, Decimal(2))]}
    published = make_version(tiers)
    draft = make_draft(make_plan(published=False))
    price = make_price(version=draft, **tiers)
    moves = [
        (price, {"version": published}),
        (make_entitlement(version=draft, feature=make_feature(), free_units=Decimal(5)), {"version": published}),
        (price.tiers.get(up_to=10), {"price": published.prices.get(), "up_to": Decimal(9)}),
    ]
    for row, into in moves:
        with pytest.raises(DatabaseError, match="a published plan version never changes"), transaction.atomic():
            type(row)._default_manager.filter(pk=row.pk).update(**into)


def test_the_next_draft_is_a_copy_with_new_ids():
    calls = make_feature(name="API calls")
    version = make_version(
        {"feature": calls, "model": "volume", "tiers": [(Decimal(100), Decimal(2), Decimal(5)), (None, Decimal(1))]},
        {"kind": "fixed", "model": "flat", "unit_amount": Decimal(49), "cadence": "advance", "position": 1},
        free_units={calls: Decimal(10)},
    )

    draft = get_or_create_draft(version.plan, by=None)

    volume, fee = draft.prices.all()
    assert (draft.number, draft.is_published) == (2, False)
    assert [(tier.up_to, tier.unit_amount, tier.flat_amount) for tier in volume.tiers.all()] == [
        (Decimal(100), Decimal(2), Decimal(5)),
        (None, Decimal(1), Decimal(0)),
    ]
    assert (fee.unit_amount, fee.cadence) == (Decimal(49), "advance")
    assert draft.entitlements.get().free_units == Decimal(10)
    assert not {price.public_id for price in draft.prices.all()} & {price.public_id for price in version.prices.all()}


def test_an_archived_plan_can_not_have_a_new_draft_or_publish_one():
    draft = make_draft()
    make_fee(version=draft)
    plan = archive_plan(make_plan(), now=NOW, by=None)
    archive_plan(draft.plan, now=NOW, by=None)

    with pytest.raises(PlanArchived):
        get_or_create_draft(plan, by=None)
    with pytest.raises(PlanArchived):
        publish(draft, now=NOW, by=None)
    assert get_or_create_draft(activate_plan(plan, by=None), by=None).number == 2


# --- What the next subscription takes ----------------------------------------------------------------


def test_a_first_subscription_publishes_the_draft():
    draft = make_draft()
    make_fee(version=draft)

    version = get_published_version(draft.plan, now=NOW, by=None)

    assert (version, version.is_published) == (draft, True)


def test_a_newer_draft_is_published_unless_it_is_on_hold():
    plan = make_plan()
    held = get_or_create_draft(plan, by=None, held=True)
    assert get_published_version(plan, now=NOW, by=None).number == 1

    held.is_held = False
    held.save()
    assert get_published_version(plan, now=NOW, by=None).number == 2


def test_a_plan_with_only_a_draft_on_hold_can_not_be_sold():
    plan = make_plan(published=False)
    plan.versions.update(is_held=True)

    with pytest.raises(NothingPublished, match="has no published version"):
        get_published_version(plan, now=NOW, by=None)


@pytest.mark.django_db(transaction=True)
def test_two_first_subscriptions_publish_one_version():
    draft = make_draft()
    make_fee(version=draft)
    version_ids = []

    def ask() -> None:
        version_ids.append(get_published_version(draft.plan, now=NOW, by=None).pk)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert version_ids == [draft.pk, draft.pk]
    assert PlanVersion.objects.filter(plan=draft.plan).count() == 1


# --- Faults ------------------------------------------------------------------------------------------


def test_every_problem_is_listed_with_its_price_and_field():
    draft = make_draft()
    make_price(version=draft, name="Tokens", model="graduated")
    make_price(version=draft, name="Calls", currency="XXA", tiers=[(None, Decimal(1))])

    assert faults(draft) == [
        "Tokens (USD, monthly): tiers: Graduated needs tiers.",
        "Calls (XXA, monthly): currency: XXA isn't a currency in use.",
        "Calls (XXA, monthly): tiers: Per unit can't have tiers.",
    ]


def test_an_empty_version_is_not_published():
    draft = make_draft(make_plan(published=False, name="Starter"))

    assert faults(draft) == ["Starter v1: prices: the version has no prices and no free tiers."]


def test_the_last_tier_must_be_unlimited():
    draft = make_draft()
    make_price(
        version=draft, name="Tokens", model="volume", tiers=[(Decimal(10), Decimal(1)), (Decimal(1000), Decimal(2))]
    )

    assert faults(draft) == [
        (
            "Tokens (USD, monthly): tiers: the last tier must be unlimited (leave “up to” blank): "
            "usage above 1000 has no price."
        )
    ]


def test_two_usage_prices_of_a_feature_on_the_same_terms_are_refused():
    draft, calls = make_draft(), make_feature(name="Calls")
    make_price(version=draft, feature=calls)
    make_price(version=draft, feature=calls)
    make_price(version=draft, feature=calls, currency="EUR")

    assert faults(draft) == ["Calls (USD, monthly): feature: it has two prices with the same currency and interval."]


def test_only_active_metered_features_can_have_prices():
    draft = make_draft()
    make_price(version=draft, feature=make_feature(name="SSO", kind="boolean"))
    make_price(version=draft, feature=make_feature(name="Old", state="archived", archived_at=NOW))

    assert faults(draft) == [
        "SSO (USD, monthly): feature: SSO isn't metered, so it has no usage to price.",
        "Old (USD, monthly): feature: Old is archived: activate it, or remove the price.",
    ]


def test_a_percentage_price_needs_a_feature_with_values():
    draft = make_draft()
    calls = make_feature(name="Calls")
    make_price(version=draft, feature=calls, model="percentage", rate_percent=Decimal("2.5"))

    assert faults(draft) == [
        (
            "Calls (USD, monthly): pricing model: a percentage price needs a feature with numeric values, "
            "and Calls only counts."
        )
    ]


def test_tiers_have_either_amounts_or_rates():
    draft, volume = make_draft(), make_feature(name="Volume", field="amount")
    price = make_price(
        version=draft,
        feature=volume,
        model="graduated_percentage",
        tiers=[(Decimal(10), Decimal(1)), (None, Decimal(0))],
    )
    other = make_price(version=draft, name="Other", model="graduated")
    PriceTier.objects.create(price=other, rate_percent=Decimal(3))

    assert faults(price.version) == [
        "Volume (USD, monthly): tiers: the tier up to 10 has a unit amount, but a graduated percentage needs a rate.",
        "Other (USD, monthly): tiers: the unlimited tier has a rate, which only a graduated percentage uses.",
    ]


def test_a_free_tier_must_fit_its_feature():
    draft = make_draft()
    make_entitlement(version=draft, feature=make_feature(name="SSO", kind="boolean"))
    make_entitlement(version=draft, feature=make_feature(name="Support", kind="static"), free_units=None)

    assert faults(draft) == [
        "Free tier of SSO: free units: SSO isn't metered, so it has no units.",
        "Free tier of Support: static value: Support is a fixed value: enter the value.",
    ]
