"""Sign in through the form, with codes as an authenticator app makes them, and count checks of passwords."""

import re
import time
from typing import Any

from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.contrib.auth.hashers import MD5PasswordHasher, PBKDF2PasswordHasher
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.factories import make_user

LOGIN = "/admin/login/"
PASSWORD = "correct-horse-battery"
FAST = ["tests.sign_in.CountingHasher"]


class QuickHasher(PBKDF2PasswordHasher):
    """Hash as a deployment does, which also reads these hashes, without taking a third of a second each time."""

    iterations = 1


class CountingHasher(MD5PasswordHasher):
    """A fast hasher that counts how many passwords were hashed: as slow ones are in a deployment."""

    algorithm = "counting"
    hashed = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.hashed += 1
        return super().encode(password, salt)


def colleague(role: str = "Owner", **values: Any) -> User:
    """Make a colleague with a role and a password."""
    user = make_user(password=PASSWORD, **values)
    user.groups.add(Group.objects.get(name=role))
    return user


def sign_in(client: Client, name: str, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(LOGIN, {"login": name, "password": password}, **extra)


def is_in(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def add_app(user: User) -> str:
    """Give the user an authenticator app; return its secret."""
    secret = str(generate_totp_secret())
    TOTP.activate(user, secret)
    return secret


def code_of(secret: str, *, periods: int = 0) -> str:
    """Return the code that the app shows, now or so many half minutes later."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + periods)))


def secret_on(page: Any) -> str:
    """Return the secret that the page for adding an authenticator app shows."""
    return str(re.search(r"<code[^>]*>([A-Z2-7]{32})</code>", page.content.decode())[1])
