"""Roles as a table: what each can view and change, by area."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import Group, Permission

from config.installation.roles import ROLES, permissions_of

# The first area whose prefix fits a permission's app and model is the permission's.
AREAS = (
    ("Customers", ("customers.",)),
    ("Product catalog", ("catalog.",)),
    ("API keys", ("events.apikey",)),
    ("Usage", ("events.",)),
    ("Billing", ("billing.",)),
    ("Webhooks", ("config.webhook",)),
    ("Staff, roles and sign-ins", ("auth.", "config.signin")),
    ("Personal data", ("config.personaldata",)),
    ("Schedules", ("django_celery_beat.",)),
    ("Change log", ("auditlog.",)),
)
ALL, SOME, NONE = "All", "Some", "–"


@dataclass(frozen=True, slots=True)
class Access:
    """What a role can do in an area: everything, some things, or nothing, and which."""

    area: str
    view: str
    change: str
    changed: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """Return both as a few words.

        >>> Access("Billing", ALL, SOME).summary
        'View, change some'
        """
        if self.view == self.change == NONE:
            return NONE
        view = {ALL: "View", SOME: "View some", NONE: ""}[self.view]
        change = {ALL: "change", SOME: "change some", NONE: ""}[self.change]
        return ", ".join(filter(None, (view, change))).capitalize()


def access_table(groups: Iterable[Group]) -> list[tuple[str, list[Access]]]:
    """Return each area with the access of each role to it. Two queries for any number of roles."""
    permissions = {_name(row): row for row in Permission.objects.select_related("content_type")}
    offered = {name for role in ROLES for name in permissions_of(role, permissions)}
    columns = [_access({_name(row) for row in group.permissions.all()}, offered, permissions) for group in groups]
    return [(area, [column[i] for column in columns]) for i, (area, _) in enumerate(AREAS)]


def _access(granted: set[str], offered: set[str], permissions: Mapping[str, Permission]) -> list[Access]:
    rows = []
    for area, _ in AREAS:
        names = {name for name in offered | granted if _area_of(name) == area}
        views = {name for name in names if ".view_" in name}
        changes = {name for name in names - views if not name.startswith("auditlog.")}  # no one can change it
        models = {permissions[name].content_type.name for name in changes & granted}
        level = _level(changes, granted)
        rows.append(Access(area, _level(views, granted), level, tuple(sorted(models)) if level == SOME else ()))
    return rows


def _level(names: set[str], granted: set[str]) -> str:
    if not names & granted:
        return NONE
    return ALL if names <= granted else SOME


def _area_of(name: str) -> str:
    app, _, codename = name.partition(".")
    subject = f"{app}.{codename.partition('_')[2]}"
    return next((area for area, prefixes in AREAS if subject.startswith(prefixes)), "")


def _name(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"
