"""Add-ons in the admin: the catalog, and adding and removing them with the effect on invoices."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.models import Invoice
from catalog.models import Addon, PlanVersion
from tests.admin_pages import as_viewer, submit, text_of, url
from tests.factories import make_addon, make_plan, make_subscription

pytestmark = pytest.mark.django_db
SUPPORT = {"kind": "fixed", "cadence": "advance", "name": "Support", "unit_amount": Decimal(30)}
NO_VERSIONS = {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}


def test_adding_an_add_on_opens_its_draft(staff_client):
    growth = make_plan(name="Growth")
    answers = {"name": "Support", "display_order": "0", "maximum": "2", "compatible_plans": [growth.pk]}
    response = staff_client.post(url("catalog_addon_add"), answers | NO_VERSIONS)
    addon = Addon.objects.get()
    assert response.url == url("catalog_planversion_change", PlanVersion.objects.get(plan__name="Support").pk)
    assert (addon.public_id[:6], addon.maximum, list(addon.compatible_plans.all())) == ("addon_", 2, [growth])
    assert "Support" in text_of(staff_client.get(url("catalog_addon_changelist")))
    assert "Support" not in text_of(staff_client.get(url("catalog_plan_changelist")))
    assert staff_client.get(url("catalog_plan_change", addon.pk)).url == url("catalog_addon_change", addon.pk)
    page = text_of(staff_client.get(url("catalog_addon_change", addon.pk)))
    assert "Not published" in page


def test_an_add_on_is_added_and_removed_with_its_effect_shown_before(staff_client):
    start = timezone.now() - timedelta(days=3)
    subscription = make_subscription(starts_at=start, now=start)
    addon = make_addon(SUPPORT, name="Support").plan
    answers = {"addon": addon.pk, "when": "now", "invoicing": "next_invoice"}
    said = text_of(staff_client.post(url("billing_change_effect", "add-addon", subscription.pk), answers))
    assert "upcoming charges total" in said
    assert not subscription.addons.exists()

    submit(staff_client, url("customers_subscription_add_addon", subscription.pk), **answers, reason="Order 7")
    row = subscription.addons.get()
    assert (row.version.plan, row.reason) == (addon, "Order 7")
    page = text_of(staff_client.get(url("customers_subscription_change", subscription.pk)))
    assert "Support: $30.00 per month, in advance" in page

    removal = {"attachment": row.pk, "when": "now"}
    assert "less" in text_of(staff_client.post(url("billing_change_effect", "remove-addon", subscription.pk), removal))
    submit(staff_client, url("customers_subscription_remove_addon", subscription.pk), **removal, reason="Not needed")
    row.refresh_from_db()
    assert row.ends_at is not None
    assert not Invoice.objects.exists()


def test_viewers_see_add_ons_and_change_nothing():
    addon = make_addon(SUPPORT, name="Support").plan
    viewer = as_viewer()
    assert viewer.get(url("catalog_addon_change", addon.pk)).status_code == 200
    assert viewer.get(url("catalog_addon_add")).status_code == 403
