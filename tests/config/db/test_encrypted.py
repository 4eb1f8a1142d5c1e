"""Secrets are encrypted at rest, readable with the present or an earlier SECRET_KEY."""

import pytest
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import connection
from django.test import override_settings

from config.db.encrypted import encrypt_again
from config.webhooks.endpoints import create_endpoint
from config.webhooks.models import WebhookEndpoint

pytestmark = pytest.mark.django_db


def stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM config_webhookendpoint")
        return cursor.fetchone()[0]


def test_a_secret_is_stored_encrypted_and_read_in_clear():
    secret = create_endpoint(by=None, url="https://example.com/hooks").secret
    assert secret.startswith("whsec_")
    assert stored().startswith("enc1:")
    assert secret not in stored()
    assert WebhookEndpoint.objects.get().secret == secret


def test_a_secret_survives_a_new_secret_key_and_then_needs_only_the_new_one():
    secret = create_endpoint(by=None, url="https://example.com/hooks").secret
    with override_settings(SECRET_KEY="new" * 20, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert WebhookEndpoint.objects.get().secret == secret
        assert encrypt_again() == 1
        assert encrypt_again() == 0
    with override_settings(SECRET_KEY="new" * 20):
        assert WebhookEndpoint.objects.get().secret == secret


def test_a_secret_of_an_unknown_key_is_an_error_rather_than_garbage():
    create_endpoint(by=None, url="https://example.com/hooks")
    with override_settings(SECRET_KEY="other" * 20), pytest.raises(InvalidToken):
        WebhookEndpoint.objects.get()


def test_a_secret_that_an_earlier_release_stored_in_clear_is_encrypted_at_night():
    create_endpoint(by=None, url="https://example.com/hooks")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE config_webhookendpoint SET secret = 'whsec_abc', old_secret = ''")
    assert WebhookEndpoint.objects.get().secret == "whsec_abc"
    encrypt_again()
    assert stored().startswith("enc1:")
    assert (WebhookEndpoint.objects.get().secret, WebhookEndpoint.objects.get().old_secret) == ("whsec_abc", "")
