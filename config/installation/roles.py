"""The roles of a new installation: viewer, auditor, operations, finance, owner. Later releases keep staff's edits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import transaction

from config.installation.models import InstalledGrant

OUR_APPS = ("catalog", "customers", "events", "billing")
OURS_IN_CONFIG = (
    *("webhookendpoint", "webhookmessage", "webhookdelivery", "approval", "approvalrule"),
    *("alarm", "backup"),
)
STAFF_APPS = ("auth", "auditlog", "django_celery_beat")
STAFF_IN_CONFIG = ("signinevent", "signinrules", "personaldataerasure")


@dataclass(frozen=True)
class Role:
    """A named set of permissions. `changes` are models whose rows it can add, change and delete; it can view the rest.

    For rows that the system writes, "change" is the permission for staff's actions: void an event, replay or dismiss a
    problem, dismiss a conflict, rotate or revoke a key.
    """

    name: str
    changes: tuple[str, ...] = ()
    can_view_staff: bool = False


CATALOG = ("catalog.*",)
CUSTOMERS = ("customers.*",)
EVENTS = (
    *("events.event", "events.problem", "events.duplicateevent", "events.apikey", "events.usagecheck"),
    "events.usagealert",
)
MONEY = ("billing.*",)
WEBHOOKS = ("config.webhookendpoint", "config.webhookdelivery")
APPROVALS = ("config.approval",)  # decide about what they may do themselves
ALARMS = ("config.alarm",)  # acknowledge them
RULES = ("config.approvalrule",)
PERSONAL_DATA = ("config.personaldataerasure",)
SETTINGS = (*(f"{app}.*" for app in STAFF_APPS), "config.signinrules")

SIMULATIONS = ("billing.simulation",)  # calculate again what was invoiced, which changes nothing
PROOFS = ("billing.proofrun",)  # start proofs, which change nothing

ROLES = (
    Role("Viewer"),
    Role("Auditor", PROOFS, can_view_staff=True),
    Role("Operations", CATALOG + CUSTOMERS + EVENTS + WEBHOOKS + APPROVALS + ALARMS + SIMULATIONS),
    Role("Finance", CUSTOMERS + MONEY + APPROVALS + ALARMS),
    Role(
        "Owner",
        CATALOG + CUSTOMERS + EVENTS + MONEY + WEBHOOKS + SETTINGS + APPROVALS + RULES + ALARMS + PERSONAL_DATA,
        can_view_staff=True,
    ),
)


def install_after_migrate(app_config: AppConfig, using: str = "default", **kwargs: object) -> None:
    """Install the roles once every app's permissions exist. Called after every `migrate`, for the last of our apps.

    The other apps have their permissions by then; this app's permissions are created here.
    """
    create_permissions(app_config, verbosity=0, using=using)
    install_roles()


def install_roles() -> int:
    """Grant each role the permissions that it was never granted before; return how many.

    A permission that staff removed from a role isn't granted again, and a role that they renamed or deleted isn't
    created again: grants are recorded. New permissions of a later release are granted once too.
    """
    installed = set(InstalledGrant.objects.values_list("role", "permission"))
    permissions = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    granted = 0
    for role in ROLES:
        installed_names = {name for role_name, name in installed if role_name == role.name}
        missing = sorted(set(permissions_of(role, permissions)) - installed_names)
        granted += _grant(role, missing, permissions, is_new=not installed_names)
    return granted


def permissions_of(role: Role, existing: Iterable[str]) -> Iterator[str]:
    """Yield a role's permissions among the existing ones, named `app.action_model`."""
    for name in existing:
        app, _, codename = name.partition(".")
        action, _, model = codename.partition("_")
        is_of_staff = app in STAFF_APPS or model in STAFF_IN_CONFIG
        can_view = app in OUR_APPS or model in OURS_IN_CONFIG or (role.can_view_staff and is_of_staff)
        if (action == "view" and can_view) or (action != "view" and {f"{app}.*", f"{app}.{model}"} & set(role.changes)):
            yield name


def _grant(role: Role, names: list[str], permissions: dict[str, Permission], *, is_new: bool) -> int:
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
