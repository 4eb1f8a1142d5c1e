"""Second factors of a colleague who lost them, and their secrets at rest."""

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from config.db.encrypted import decrypt_text, encrypt_text
from config.signin.log import name_of, record
from config.signin.models import SignInKind

SECRETS = ("secret", "seed")  # of an authenticator app and of recovery codes


def remove_factors(user: User, *, by: User, request: HttpRequest) -> int:
    """Remove all second factors and recovery codes; return how many second factors there were."""
    factors = list(Authenticator.objects.select_for_update().filter(user=user))
    for factor in factors:
        if factor.type != Authenticator.Type.RECOVERY_CODES:
            record(SignInKind.FACTOR_REMOVED, user, f"{name_of(factor)}, by {by.get_username()}", request=request)
    Authenticator.objects.filter(pk__in=[factor.pk for factor in factors]).delete()
    return len(factors)


def encrypt_factors_again() -> int:
    """Encrypt the secrets of second factors with the present SECRET_KEY; return how many. Safe to repeat."""
    with transaction.atomic():
        factors = list(Authenticator.objects.select_for_update().exclude(type=Authenticator.Type.WEBAUTHN))
        for factor in factors:
            for name in set(SECRETS) & set(factor.data):
                factor.data[name] = encrypt_text(decrypt_text(factor.data[name]))
        Authenticator.objects.bulk_update(factors, ["data"])
    return len(factors)
