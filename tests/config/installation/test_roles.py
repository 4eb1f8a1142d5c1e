"""The default roles: what each can do, and that staff's edits are kept."""

import pytest
from django.contrib.auth.models import Group, Permission

from config.installation.roles import install_roles
from tests.factories import make_user
from tests.owner import as_owner

pytestmark = pytest.mark.django_db


def may(role, permission):
    user = make_user()
    user.groups.add(Group.objects.get(name=role))
    return user.has_perm(permission)


@pytest.mark.parametrize("role", ["Viewer", "Auditor", "Operations", "Finance", "Owner"])
@pytest.mark.parametrize(
    "permission", ["events.view_event", "customers.view_customer", "catalog.view_plan", "billing.view_invoice"]
)
def test_every_role_can_view_the_business_data(role, permission):
    assert may(role, permission)


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        ("catalog.change_feature", {"Operations", "Owner"}),
        ("customers.add_customer", {"Operations", "Finance", "Owner"}),
        ("events.change_event", {"Operations", "Owner"}),
        ("events.change_problem", {"Operations", "Owner"}),
        ("events.add_apikey", {"Operations", "Owner"}),
        ("billing.change_invoice", {"Finance", "Owner"}),
        ("billing.add_creditgrant", {"Finance", "Owner"}),
        ("billing.add_taxrate", {"Finance", "Owner"}),
        ("billing.add_couponapplication", {"Finance", "Owner"}),
        ("billing.start_proofrun", {"Auditor", "Finance", "Owner"}),
        ("billing.add_simulation", {"Operations", "Finance", "Owner"}),
        ("auth.view_user", {"Auditor", "Owner"}),
        ("auth.change_user", {"Owner"}),
        ("django_celery_beat.change_periodictask", {"Owner"}),
        ("auditlog.view_logentry", {"Auditor", "Owner"}),
    ],
)
def test_each_role_can_change_only_its_own_data(permission, roles):
    assert {role for role in ("Viewer", "Auditor", "Operations", "Finance", "Owner") if may(role, permission)} == roles


def test_a_viewer_changes_nothing():
    codenames = Group.objects.get(name="Viewer").permissions.values_list("codename", flat=True)
    assert {codename.split("_")[0] for codename in codenames} == {"view"}


def test_installing_again_changes_nothing():
    before = list(Group.objects.order_by("pk").values_list("pk", "name", "permissions"))
    assert install_roles() == 0
    assert list(Group.objects.order_by("pk").values_list("pk", "name", "permissions")) == before


def test_a_permission_that_staff_removed_stays_removed():
    operations = Group.objects.get(name="Operations")
    operations.permissions.remove(Permission.objects.get(codename="change_event"))
    install_roles()
    assert not operations.permissions.filter(codename="change_event").exists()


@pytest.mark.parametrize("edit", ["rename", "delete"])
def test_a_renamed_or_deleted_role_is_not_created_again(edit):
    finance = Group.objects.filter(name="Finance")
    finance.update(name="Accounting") if edit == "rename" else finance.delete()
    install_roles()
    assert not Group.objects.filter(name="Finance").exists()


def test_a_permission_of_a_later_release_is_granted_once():
    some = Permission.objects.get(codename="view_event")
    with as_owner():  # as `migrate` does
        added = Permission.objects.create(codename="approve_event", name="Can approve", content_type=some.content_type)
    assert install_roles() == 2  # operations and owner change events
    assert Group.objects.get(name="Operations").permissions.filter(pk=added.pk).exists()
    assert not Group.objects.get(name="Viewer").permissions.filter(pk=added.pk).exists()
