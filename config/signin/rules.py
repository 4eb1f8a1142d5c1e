"""The company's rules for signing in, and whether a colleague meets them."""

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User

from config.signin.models import SignInRules

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)  # recovery codes only replace one of these


def read_rules() -> SignInRules:
    """Return the rules; without a row, the defaults."""
    return SignInRules.objects.filter(pk=1).first() or SignInRules()


def has_second_factor(user: User) -> bool:
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())


def requires_second_factor(user: User, rules: SignInRules) -> bool:
    """Return whether the rules ask for a second factor, by the user's roles."""
    if user.is_superuser and rules.second_factor_superusers:
        return True
    return rules.second_factor_roles.filter(user=user).exists()


def lacks_second_factor(user: User, *, by_provider: bool) -> bool:
    """Return whether the user has to set up a second factor before anything else.

    `by_provider` says that they signed in through the identity provider, which may have asked for one.
    """
    rules = read_rules()
    if by_provider and rules.trusts_providers:
        return False
    return requires_second_factor(user, rules) and not has_second_factor(user)
