"""What staff may grant, and to whose account they may give access: nothing that they may not do themselves."""

from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from config.office.dialogs import staff


def is_within_rights(request: HttpRequest, user: Any) -> bool:
    """Return whether the user may do nothing that staff may not: a password link would make them that user."""
    own = staff(request)
    if own.is_superuser or not isinstance(user, User):
        return True
    return not user.is_superuser and _permissions_of(user) <= own.get_all_permissions()


def _permissions_of(user: User) -> set[str]:
    """Return what the user may do when active: Django says that an inactive user may do nothing."""
    rows = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return {f"{app}.{codename}" for app, codename in rows.values_list("content_type__app_label", "codename")}


def own_permissions(request: HttpRequest) -> QuerySet[Permission]:
    """Return the permissions that staff have, and so can grant."""
    names = staff(request).get_all_permissions()
    rows = Permission.objects.select_related("content_type")
    return rows.filter(pk__in=[row.pk for row in rows if f"{row.content_type.app_label}.{row.codename}" in names])


def grantable_roles(request: HttpRequest) -> QuerySet[Group]:
    """Return the roles that allow nothing that staff may not do themselves."""
    beyond = Permission.objects.exclude(pk__in=own_permissions(request))
    return Group.objects.exclude(permissions__in=beyond).order_by("name")


def is_grantable(request: HttpRequest, role: Any) -> bool:
    """Return whether the role allows nothing that staff may not do themselves. True without a role."""
    return role is None or grantable_roles(request).filter(pk=role.pk).exists()
