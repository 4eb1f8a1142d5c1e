"""The page for staff who lack a permission: it says which one, and who has it."""

import re

from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.api import handlers

MOST_HOLDERS = 5
ACTIONS = {"changelist": "view", "history": "view", "change": "view", "add": "add", "delete": "delete"}


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403: JSON to API clients, a page in the admin's frame to staff, a plain page to others."""
    if handlers.is_api(request) or not (request.user.is_authenticated and request.user.is_staff):
        return handlers.permission_denied(request, exception)
    permission = find_permission(str(exception)) or find_permission(permission_of_page(request))
    context = {
        **admin.site.each_context(request),
        "title": "No permission",
        "permission": permission.name.removeprefix("Can ") if permission else "",
        "holders": holders(permission) if permission else [],
        "roles": list(Group.objects.filter(permissions=permission).order_by("name")) if permission else [],
    }
    return render(request, "admin/config/denied.html", context, status=403)


def permission_of_page(request: HttpRequest) -> str:
    """Return the permission of a table's list or form, such as "billing.view_invoice"; empty for other pages."""
    name = (request.resolver_match.url_name or "") if request.resolver_match else ""
    match = re.fullmatch(r"(\w+?)_([a-z]+)_(\w+)", name)
    return f"{match[1]}.{ACTIONS.get(match[3], 'change')}_{match[2]}" if match else ""


def find_permission(name: str) -> Permission | None:
    """Return the permission with a name such as "billing.view_invoice"."""
    app, _, codename = name.partition(".")
    if not codename:
        return None
    permissions = Permission.objects.select_related("content_type")
    return permissions.filter(content_type__app_label=app, codename=codename).first()


def holders(permission: Permission) -> list[str]:
    """Return the names of some staff who have the permission and can help."""
    name = f"{permission.content_type.app_label}.{permission.codename}"
    users = User.objects.with_perm(name).filter(is_staff=True)
    return [user.get_full_name() or user.username for user in users.order_by("username").distinct()[:MOST_HOLDERS]]
