"""What a colleague must be allowed to do to give an API key a scope: as much as the scope allows.

Operations may change customers but no invoices, so they can create a key with `customers:write`, but none with
`billing:write` or `all`, and can't rotate such a key, which would show them its new secret.
"""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import Permission, User
from django.db.models import Q
from django.utils import timezone

from config.installation.roles import OUR_APPS, OURS_IN_CONFIG
from config.refusals import Refused
from events.models import ApiKey, Scope

WRITERS = ("add", "change")


class ScopesRefused(Refused):
    """The colleague lacks permissions that a scope of the key includes."""


class SelfTestKeyRefused(Refused):
    """The key is the self-test's, which manages it itself."""


def refuse_self_test_key(key: ApiKey) -> None:
    """Raise `SelfTestKeyRefused` if the key is the self-test's: without it, or in other hands, the self-test fails."""
    if key.is_self_test:
        raise SelfTestKeyRefused(
            f"{key} belongs to the self-test, which replaces it when SECRET_KEY changes. To stop the self-test, set "
            "SELF_TEST=off."
        )


def missing_scopes(user: User, scopes: Iterable[str]) -> list[str]:
    """Return the scopes that allow more than the user may do. An inactive user may do nothing."""
    return _missing(user, scopes, permissions_by_scope())


def check_scopes(user: User, scopes: Iterable[str]) -> None:
    """Raise `ScopesRefused`, naming the scopes, unless the user may do everything that they allow."""
    if missing := missing_scopes(user, scopes):
        labels = ", ".join(f"“{Scope(scope).label}”" for scope in missing)
        raise ScopesRefused(f"Your permissions don't include all that {labels} allows. Ask an owner.")


def keys_beyond_rights() -> list[ApiKey]:
    """Return the usable keys that can do more than the colleague who is responsible for them, newest first.

    It takes two queries for each responsible colleague. A key without one was created on the server.
    """
    keys = list(ApiKey.objects.usable(timezone.now()).exclude(responsible=None).order_by("-pk"))
    if not keys:
        return []
    needed = permissions_by_scope()
    people = User.objects.in_bulk({key.responsible_id for key in keys})
    return [key for key in keys if _missing(people[key.responsible_id], key.scopes, needed)]


def find_colleagues_behind(family_id: int) -> set[int]:
    """Return the primary keys of the colleagues who are responsible for an API key or know its secret.

    These are the responsible colleagues and those who created it, for the key and all of its rotations. If Mia creates
    a key and Ben takes responsibility, both are behind it.
    """
    keys = ApiKey.objects.filter(Q(family=family_id) | Q(pk=family_id))
    return {pk for row in keys.values_list("created_by", "responsible") for pk in row if pk is not None}


def take_responsibility(key: ApiKey, *, by: User) -> ApiKey:
    """Make the user responsible for the key, instead of a colleague who lacks the permissions. Safe to repeat.

    The earlier colleague still knows the secret, so the key decides about no approval until the user rotates it.
    Raises `ScopesRefused` if the user lacks the permissions too, and `SelfTestKeyRefused`.
    """
    refuse_self_test_key(key)
    check_scopes(by, key.scopes)
    key.responsible = by
    key.save(update_fields=["responsible", "updated_at"])
    return key


def _missing(user: User, scopes: Iterable[str], needed: Mapping[str, set[str]]) -> list[str]:
    permissions = user.get_all_permissions()
    return [scope for scope in scopes if not needed[scope] <= permissions]


def permissions_by_scope() -> dict[str, set[str]]:
    """Return the permissions that each scope stands for, as `app.codename`."""
    names = {
        (permission.content_type.app_label, permission.codename)
        for permission in Permission.objects.select_related("content_type")
    }

    def of(app: str, *actions: str) -> set[str]:
        return {f"{app}.{codename}" for label, codename in names if label == app and codename.startswith(actions)}

    needed: dict[str, set[str]] = {
        Scope.EVENTS_WRITE: {"events.add_event"},
        Scope.READ: {name for app in OUR_APPS for name in of(app, "view_")}
        | {f"config.view_{model}" for model in OURS_IN_CONFIG},
        Scope.CATALOG_WRITE: of("catalog", "add_", "change_"),
        Scope.CUSTOMERS_WRITE: of("customers", "add_", "change_"),
        Scope.BILLING_WRITE: of("billing", "add_", "change_"),
        Scope.KEYS_WRITE: {"events.add_apikey", "events.change_apikey"},
        Scope.APPROVALS_WRITE: {"config.change_approval"},
        Scope.ALARMS_WRITE: {"config.change_alarm"},
        Scope.PERSONAL_DATA: {f"config.{action}_personaldataerasure" for action in ("view", "add")},
    }
    webhooks = {"config.add_webhookendpoint", "config.change_webhookendpoint", "config.delete_webhookendpoint"}
    others = {"events.change_event", "events.change_problem", "config.change_approvalrule", "config.view_signinevent"}
    return needed | {Scope.ALL: set().union(*needed.values(), webhooks, others)}
