"""A provider's reports are recorded once, at the email that they are about, and only if they are signed."""

import base64
import json

import pytest
from django.test import Client
from django.urls import include, path

from billing.alarms import find_emails
from billing.models import Email, EmailEvent
from config import urls
from config.webhooks.models import WebhookEndpoint, WebhookMessage
from tests.billing.invoices import later
from tests.billing.sending.test_delivering import make_email

pytestmark = pytest.mark.django_db
URL = "/reports/postmark/tracking/"
URLS = {**vars(urls), "urlpatterns": [path("reports/", include("anymail.urls")), *urls.urlpatterns]}


@pytest.fixture
def provider(settings):
    settings.ROOT_URLCONF = type("Urls", (), URLS)
    settings.ANYMAIL = {"WEBHOOK_SECRET": "provider:secret"}
    return Client(headers={"authorization": f"Basic {base64.b64encode(b'provider:secret').decode()}"})


def bounce(number: int = 1, **values) -> dict:
    report = {"RecordType": "Bounce", "ID": number, "Type": "HardBounce", "TypeCode": 1, "MessageID": "pm-1"}
    return (
        report | {"Email": "anna@example.com", "Details": "550 unknown", "BouncedAt": "2026-03-11T10:00:00Z"} | values
    )


def report(client: Client, body: dict) -> int:
    return client.post(URL, json.dumps(body), content_type="application/json").status_code


def sent_email() -> Email:
    email = make_email()
    Email.objects.filter(pk=email.pk).update(state="sent", next_try_at=None, sent_at=later(), provider_id="pm-1")
    return email


def test_a_bounce_is_recorded_once_and_raises_an_alarm(provider):
    WebhookEndpoint.objects.create(url="https://example.com/hooks")
    email = sent_email()
    assert [report(provider, bounce()) for _ in range(2)] == [200, 200]
    email.refresh_from_db()
    assert (email.state, email.last_error) == ("bounced", "550 unknown")
    assert EmailEvent.objects.values_list("kind", "recipient", "detail").get() == (
        *("bounced", "anna@example.com", "550 unknown"),
    )
    assert WebhookMessage.objects.filter(event_type="email.bounced").count() == 1
    [finding] = find_emails(later())
    assert finding.message == "1 email failed, bounced, or may not have been sent."


def test_a_report_about_an_unknown_email_or_without_the_secret_changes_nothing(provider):
    email = sent_email()
    assert report(provider, bounce(MessageID="pm-2")) == 200
    assert report(Client(), bounce()) == 400
    assert not EmailEvent.objects.exists()
    # A recipient that the email doesn't have isn't recorded.
    assert report(provider, bounce(Email="eve@example.com")) == 200
    assert EmailEvent.objects.get(email=email).recipient == ""
