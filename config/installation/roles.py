"""The roles of a new installation: viewer, operations, finance, owner. Staff edit them, and their edits stay."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import transaction

OUR_APPS = ("catalog", "customers", "events", "billing")
OURS_IN_CONFIG = ("webhookendpoint", "webhookmessage", "webhookdelivery")
STAFF_APPS = ("auth", "auditlog", "django_celery_beat")


@dataclass(frozen=True)
class Role:
    """A named set of permissions. `changes` are models whose rows it may add, change and delete; it views the rest.

    Where the system writes the rows, "change" is the permission of what staff do to them: an event is voided, a problem
    replayed or dismissed, a key rotated or revoked.
    """

    name: str
    changes: tuple[str, ...] = ()
    sees_staff: bool = False


CATALOG = ("catalog.*",)
CUSTOMERS = ("customers.*",)
EVENTS = ("events.event", "events.problem", "events.apikey", "events.usagecheck", "events.usagealert")
MONEY = ("billing.*",)
WEBHOOKS = ("config.webhookendpoint", "config.webhookdelivery")
SETTINGS = tuple(f"{app}.*" for app in STAFF_APPS)

ROLES = (
    Role("Viewer"),
    Role("Operations", CATALOG + CUSTOMERS + EVENTS + WEBHOOKS),
    Role("Finance", CUSTOMERS + MONEY),
    Role("Owner", CATALOG + CUSTOMERS + EVENTS + MONEY + WEBHOOKS + SETTINGS, sees_staff=True),
)


def install_after_migrate(app_config: AppConfig, using: str = "default", **kwargs: object) -> None:
    """Install the roles once every app's permissions exist: called after every `migrate`, for the last of our apps.

    The apps before it have their permissions by then; its own would only come after this.
    """
    create_permissions(app_config, verbosity=0, using=using)
    install_roles()


def install_roles() -> int:
    """Give each role the permissions that it was never given before; return how many were given.

    A permission that staff took from a role, and a role that they renamed or deleted, stays as they left it: what was
    given is remembered, not looked for. A later release's new permissions are given once, too.
    """
    from config.installation.models import InstalledGrant

    known = set(InstalledGrant.objects.values_list("role", "permission"))
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    given = 0
    for role in ROLES:
        wanted = set(permissions_of(role, permissions)) - {name for owner, name in known if owner == role.name}
        given += _give(role, sorted(wanted), permissions, is_new=all(owner != role.name for owner, _ in known))
    return given


def permissions_of(role: Role, existing: Iterable[str]) -> Iterator[str]:
    """Pick a role's permissions from those that exist, written as `app.action_model`."""
    for name in existing:
        app, _, codename = name.partition(".")
        action, _, model = codename.partition("_")
        may_see = app in OUR_APPS or model in OURS_IN_CONFIG or (role.sees_staff and app in STAFF_APPS)
        if (action == "view" and may_see) or (action != "view" and {f"{app}.*", f"{app}.{model}"} & set(role.changes)):
            yield name


def _give(role: Role, names: list[str], permissions: dict[str, Permission], *, is_new: bool) -> int:
    from config.installation.models import InstalledGrant

    if not names:
        return 0
    with transaction.atomic():
        group = Group.objects.filter(name=role.name).first()
        if group is None and is_new:
            group = Group.objects.create(name=role.name)
        if group is not None:
            group.permissions.add(*[permissions[name] for name in names])
        InstalledGrant.objects.bulk_create([InstalledGrant(role=role.name, permission=name) for name in names])
    return len(names) if group is not None else 0
