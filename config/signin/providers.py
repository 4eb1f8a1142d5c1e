"""Identity providers (OpenID Connect), from the environment. Settings import this module."""

from typing import Any

from environ import Env


def read_providers(env: Env) -> list[dict[str, Any]]:
    """Return the providers that `OIDC_PROVIDERS` names, as django-allauth configures them.

    For `OIDC_PROVIDERS=okta`: OIDC_OKTA_SERVER_URL, OIDC_OKTA_CLIENT_ID, OIDC_OKTA_CLIENT_SECRET, and optionally
    OIDC_OKTA_NAME and OIDC_OKTA_TRUSTS_EMAIL. Raises ImproperlyConfigured if one is missing.
    """
    return [_read(env, name.strip().lower()) for name in env.list("OIDC_PROVIDERS", default=[])]


def _read(env: Env, name: str) -> dict[str, Any]:
    prefix = f"OIDC_{name.upper().replace('-', '_')}"
    return {
        "provider_id": name,
        "name": env.str(f"{prefix}_NAME", default=name.title()),
        "client_id": env.str(f"{prefix}_CLIENT_ID"),
        "secret": env.str(f"{prefix}_CLIENT_SECRET"),
        "settings": {
            "server_url": env.str(f"{prefix}_SERVER_URL"),
            "verified_email": env.bool(f"{prefix}_TRUSTS_EMAIL", default=False),
        },
    }
