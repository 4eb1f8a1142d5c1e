"""Webhooks in the admin: create, test, rotate and remove endpoints; view deliveries and send them again."""

import re
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from config.tasks import deliver_webhooks
from config.webhooks.endpoints import change_endpoint, create_endpoint, send_test
from config.webhooks.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from config.webhooks.names import CHOSEN
from tests.config.webhooks.receiver import receiving
from tests.factories import make_subscription, make_user

pytestmark = pytest.mark.django_db
SENT = {"_form_submitted": "on"}  # a dialog that is answered
HOOKS = "https://example.com/hooks"
ENDPOINTS = "/admin/config/webhookendpoint/"
DELIVERIES = "/admin/config/webhookdelivery/"


def address(name, row):
    return reverse(f"admin:config_{name}", args=[row.pk])


def as_role(name):
    user = make_user()
    user.groups.add(Group.objects.get(name=name))
    client = Client()
    client.force_login(user)
    return client


def test_an_endpoint_is_added_and_its_secret_is_shown_once(staff_client):
    shown = staff_client.post(f"{ENDPOINTS}add/", {"url": HOOKS, "event_types": ["invoice.update.payment"]})
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in shown.content.decode()
    assert "no-store" in shown.headers["cache-control"]
    assert (endpoint.event_types, endpoint.created_by.username) == (["invoice.update.payment"], "staff")
    for page in (ENDPOINTS, f"{ENDPOINTS}{endpoint.pk}/change/", f"{ENDPOINTS}{endpoint.pk}/history/"):
        assert endpoint.secret not in staff_client.get(page).content.decode()


def test_events_are_listed_by_subject(staff_client):
    page = staff_client.get(f"{ENDPOINTS}add/").content.decode()
    subjects = ["Invoices", "Payments and refunds", "Credit notes", "Emails", "Prepaid credit"]
    subjects += ["Customers", "Subscriptions", "Usage", "Month end", "Simulations", "API keys", "Approvals", "Alarms"]
    assert re.findall(r"<label>([^<]+)</label>", page) == subjects
    assert page.count('name="event_types"') == len(CHOSEN)


def test_a_private_address_is_refused_in_the_form(staff_client):
    page = staff_client.post(f"{ENDPOINTS}add/", {"url": "https://10.0.0.1/"}).content.decode()
    assert "10.0.0.1 is a private address." in page
    assert not WebhookEndpoint.objects.exists()


def test_a_disabled_endpoint_shows_the_reason_and_can_be_enabled(staff_client):
    endpoint = create_endpoint(HOOKS, by=None)
    WebhookEndpoint.objects.update(is_enabled=False, disabled_reason="Automatically disabled: gone.")
    page = f"{ENDPOINTS}{endpoint.pk}/change/"
    assert "Fix the receiver, then enable the endpoint" in staff_client.get(page).content.decode()
    assert "Failing webhooks" in staff_client.get("/admin/").content.decode()
    staff_client.post(page, {"url": HOOKS, "description": "", "is_enabled": "on"})
    endpoint.refresh_from_db()
    assert (endpoint.is_enabled, endpoint.disabled_reason) == (True, "")
    assert "Failing webhooks" not in staff_client.get("/admin/").content.decode()


def test_a_rotation_shows_the_new_secret(staff_client):
    endpoint = create_endpoint(HOOKS, by=None)
    shown = staff_client.post(address("webhookendpoint_rotate", endpoint), SENT).content.decode()
    endpoint.refresh_from_db()
    assert endpoint.secret in shown
    assert endpoint.old_secret


def test_an_endpoint_is_removed_with_a_reason(staff_client):
    endpoint = create_endpoint(HOOKS, by=None)
    send_test(endpoint, now=datetime.now(UTC))
    staff_client.post(address("webhookendpoint_remove", endpoint), SENT)
    assert WebhookEndpoint.objects.exists()
    staff_client.post(address("webhookendpoint_remove", endpoint), SENT | {"reason": "Old system"})
    assert not WebhookEndpoint.objects.exists()
    assert not WebhookDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_delivery_shows_message_and_response_and_can_be_sent_again(staff_client, settings):
    settings.WEBHOOK_PRIVATE_TARGETS = True
    with receiving() as receiver:
        receiver.statuses, receiver.answer = [500], b"no paper left"
        endpoint = create_endpoint(receiver.url, by=None)
        subscription = make_subscription()
        deliver_webhooks()
    delivery = WebhookDelivery.objects.get()
    page = staff_client.get(f"{DELIVERIES}{delivery.pk}/change/").content.decode()
    for text in ("no paper left", "HTTP 500", "1 of 8", subscription.public_id, delivery.message.public_id):
        assert text in page
    assert reverse("admin:customers_subscription_change", args=[subscription.pk]) in page
    staff_client.post(address("webhookdelivery_resend", delivery), SENT)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (DeliveryState.PENDING, 0)
    change_endpoint(endpoint, by=None, now=datetime.now(UTC), is_enabled=False)
    said = staff_client.post(address("webhookdelivery_resend", delivery), SENT, follow=True).content.decode()
    assert "The endpoint is disabled. Enable it first." in said


def test_the_number_of_deliveries_does_not_change_query_count(staff_client, django_assert_max_num_queries):
    create_endpoint(HOOKS, by=None)
    for _ in range(12):
        make_subscription()
    staff_client.get(DELIVERIES)
    with django_assert_max_num_queries(12):
        page = staff_client.get(f"{DELIVERIES}?state__exact=pending")
    assert page.content.decode().count("subscription.created") >= 12


@pytest.mark.parametrize(
    ("role", "may"), [("Viewer", False), ("Finance", False), ("Operations", True), ("Owner", True)]
)
def test_roles_that_can_change_webhooks(role, may):
    endpoint = create_endpoint(HOOKS, by=None)
    delivery = send_test(endpoint, now=datetime.now(UTC))
    client = as_role(role)
    assert client.get(ENDPOINTS).status_code == client.get(f"{DELIVERIES}{delivery.pk}/change/").status_code == 200
    answers = [
        client.post(address("webhookendpoint_rotate", endpoint), SENT).status_code,
        client.post(address("webhookendpoint_send_test_message", endpoint)).status_code,
        client.post(address("webhookdelivery_resend", delivery), SENT).status_code,
        client.post(f"{ENDPOINTS}add/", {"url": HOOKS}).status_code,
    ]
    assert (403 not in answers) == may
    assert all((status == 403) != may for status in answers)
