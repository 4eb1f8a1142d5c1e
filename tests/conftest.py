"""Fixtures that every app's tests share."""

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def staff_user(db: None) -> User:
    """Return a superuser, who may do everything in the admin."""
    return User.objects.create_superuser("staff", "staff@example.com", "correct-horse-battery")


@pytest.fixture
def staff_client(staff_user: User) -> Client:
    """Return a browser-less client logged in to the admin."""
    client = Client()
    client.force_login(staff_user)
    return client
