"""Log each change of a password, wherever it is made: by the colleague, an owner, a link or the command line."""

from allauth.core import context
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import MinimumLengthValidator

from config.signin.log import record
from config.signin.models import SignInKind


class RecordedPasswordValidator(MinimumLengthValidator):
    """Django's rule for the shortest password. Django tells password validators of each password that was changed."""

    def password_changed(self, password: str, user: User | None = None) -> None:
        """Write the change in the sign-in log."""
        if user is None:
            return
        request = context.request
        by = request.user if request is not None else None
        if by is None:
            record(SignInKind.PASSWORD_CHANGED, user, "On the server")
        elif not by.is_authenticated:
            record(SignInKind.PASSWORD_CHANGED, user, "With a link")
        else:
            record(SignInKind.PASSWORD_CHANGED, user, "" if by == user else f"By {by.get_username()}")
