"""Alarms in the admin: on Home, in the list, and acknowledged with a note."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from config.alarms.kinds import AlarmKind
from config.alarms.models import Alarm
from config.alarms.raising import Finding, acknowledge, clear_alarm, raise_alarm
from tests.admin_pages import count_queries, submit, text_of, url
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = "/admin/config/alarm/"


def disk(about: str = "app-1") -> Alarm:
    finding = Finding(AlarmKind.DISK_LOW, f"The disk of {about} has 1 GB left.", "Extend the disk.", about=about)
    return raise_alarm(finding, now=timezone.now())


def as_role(name: str) -> Client:
    user, client = make_user(first_name="Mia"), Client()
    user.groups.add(Group.objects.get(name=name))
    client.force_login(user)
    return client


def test_home_shows_open_alarms_with_what_to_do(staff_client: Client):
    assert "1 GB left" not in text_of(staff_client.get("/admin/"))
    alarm = disk()
    page = text_of(staff_client.get("/admin/"))
    assert "The disk of app-1 has 1 GB left." in page
    assert "Extend the disk." in page
    acknowledge(alarm, "Ordered a larger one", by=make_user(first_name="Ben"), now=timezone.now())
    page = text_of(staff_client.get("/admin/"))
    assert "Ben: Ordered a larger one" in page
    clear_alarm(AlarmKind.DISK_LOW, "app-1", now=timezone.now())
    assert "1 GB left" not in text_of(staff_client.get("/admin/"))


def test_the_sidebar_counts_alarms_that_no_one_has_acknowledged(staff_client: Client):
    disk()
    alarm = disk("app-2")
    assert "Alarms 2" in text_of(staff_client.get(LIST))
    acknowledge(alarm, "Mine", by=make_user(), now=timezone.now())
    assert "Alarms 1" in text_of(staff_client.get(LIST))


@pytest.mark.parametrize("role", ["Operations", "Finance", "Owner"])
def test_an_alarm_is_acknowledged_with_a_note(role: str):
    alarm, client = disk(), as_role(role)
    response = submit(client, url("config_alarm_acknowledge_one", alarm.pk), reason="Ordered a larger one")
    assert response.headers["HX-Redirect"] == alarm.get_absolute_url()
    page = text_of(client.get(alarm.get_absolute_url()))
    assert "Mia has taken care of it since" in page
    assert "Ordered a larger one" in page


@pytest.mark.parametrize("role", ["Viewer", "Auditor"])
def test_viewers_and_auditors_see_alarms_but_cant_acknowledge_them(role: str):
    alarm, client = disk(), as_role(role)
    assert "1 GB left" in text_of(client.get("/admin/"))
    assert "1 GB left" in text_of(client.get(LIST))
    page = text_of(client.get(alarm.get_absolute_url()))
    assert "1 GB left" in page
    assert "Acknowledge" not in page
    assert submit(client, url("config_alarm_acknowledge_one", alarm.pk), reason="Mine").status_code == 403


def test_a_cleared_alarm_has_no_action(staff_client: Client):
    alarm = disk()
    clear_alarm(AlarmKind.DISK_LOW, "app-1", now=timezone.now())
    page = text_of(staff_client.get(alarm.get_absolute_url()))
    assert "There is nothing left to do." in page
    assert submit(staff_client, url("config_alarm_acknowledge_one", alarm.pk), reason="Mine").status_code == 403


def test_the_list_shows_open_alarms_first_and_filters_by_status(staff_client: Client):
    disk()
    disk("app-2")
    clear_alarm(AlarmKind.DISK_LOW, "app-2", now=timezone.now() + timedelta(minutes=1))
    page = text_of(staff_client.get(LIST))
    assert page.index("disk of app-1") < page.index("disk of app-2")
    assert "disk of app-1" not in text_of(staff_client.get(LIST, {"status": "cleared"}))
    assert "disk of app-2" not in text_of(staff_client.get(LIST, {"status": "open"}))


def test_the_number_of_alarms_does_not_change_query_count(staff_client: Client):
    disk()
    few = count_queries(staff_client, LIST)
    for number in range(10):
        acknowledge(disk(f"db-{number}"), "Mine", by=make_user(), now=timezone.now())
    assert count_queries(staff_client, LIST) == few
