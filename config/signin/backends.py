"""Check a name and password. One check takes the same time whether the name exists or not."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest

from config.db.text import is_text


class StaffBackend(ModelBackend):
    """Let active staff sign in with their username or email address, in any case, and their password."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        name = username or credentials.get("email") or ""
        if not name or password is None:
            return None
        user = find_user(name)
        if user is None:
            User().set_password(password)  # takes as long as the check of a password
            return None
        return user if user.check_password(password) and self.user_can_authenticate(user) else None

    def user_can_authenticate(self, user: Any) -> bool:
        """Return whether the user is active staff. Also ends the sessions of those who aren't any more."""
        return bool(user.is_active and user.is_staff)


def find_user(name: str) -> User | None:
    """Return the user with this username or email address; None if no one has it, or several.

    It takes one query whether there is one or not, so that the time of a failed sign-in doesn't tell.
    """
    if not is_text(name):
        return None
    users = list(User.objects.filter(Q(username__iexact=name) | Q(email__iexact=name)))
    exact = [user for user in users if user.username == name]
    by_username = [user for user in users if user.username.casefold() == name.casefold()]
    return next((found[0] for found in (exact, by_username, users) if len(found) == 1), None)
