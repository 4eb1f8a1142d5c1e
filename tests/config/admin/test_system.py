"""The Settings pages of the admin: schedules, staff, roles and the log of changes."""

from datetime import UTC, datetime

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, PeriodicTask

from tests.browser import AdminBrowser
from tests.factories import make_feature

LISTS = [
    "/admin/django_celery_beat/periodictask/",
    "/admin/django_celery_beat/intervalschedule/",
    "/admin/django_celery_beat/crontabschedule/",
    "/admin/django_celery_beat/clockedschedule/",
    "/admin/auth/user/",
    "/admin/auth/group/",
    "/admin/auditlog/logentry/",
]


@pytest.mark.parametrize("path", LISTS)
def test_every_list_opens_and_searches(staff_client: Client, path: str):
    assert staff_client.get(path).status_code == 200
    assert staff_client.get(path, {"q": "a"}).status_code == 200


@pytest.mark.parametrize("path", [path for path in LISTS if "logentry" not in path])
def test_every_form_opens(staff_client: Client, path: str):
    assert staff_client.get(f"{path}add/").status_code == 200


def test_a_schedule_shows_when_it_runs(staff_client: Client):
    page = staff_client.get(LISTS[0]).content.decode()
    assert "every second" in page
    assert "At 03:10 AM" in page


def test_staff_change_a_schedule(staff_client: Client):
    task = PeriodicTask.objects.get(task="events.tasks.prune")
    later, _ = CrontabSchedule.objects.get_or_create(hour="5", minute="0")
    form = {"name": "Clean up", "task": task.task, "crontab": later.pk, "args": "[]", "kwargs": "{}"}
    answer = staff_client.post(f"{LISTS[0]}{task.pk}/change/", form)
    assert answer.status_code == 302
    task.refresh_from_db()
    assert (task.name, task.enabled, task.crontab) == ("Clean up", False, later)


def test_an_unused_schedule_can_be_deleted(staff_client: Client):
    moment = ClockedSchedule.objects.create(clocked_time=datetime(2030, 1, 1, tzinfo=UTC))
    staff_client.post(f"/admin/django_celery_beat/clockedschedule/{moment.pk}/delete/", {"post": "yes"})
    assert not ClockedSchedule.objects.exists()


def test_the_change_log_is_read_only(staff_client: Client, staff_user: User):
    entry = LogEntry.objects.log_create(staff_user, force_log=True, action=LogEntry.Action.UPDATE)
    path = f"/admin/auditlog/logentry/{entry.pk}/"
    assert staff_client.get(f"{path}change/").status_code == 200
    assert staff_client.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert LogEntry.objects.filter(pk=entry.pk).exists()


def test_the_change_log_is_readable(staff_client: Client):
    feature = make_feature(name="Calls")
    feature.name = "API calls"
    feature.save()
    page = staff_client.get("/admin/auditlog/logentry/").content.decode()
    assert feature.get_absolute_url() in page
    entry = LogEntry.objects.filter(action=LogEntry.Action.UPDATE).latest("pk")
    page = staff_client.get(f"/admin/auditlog/logentry/{entry.pk}/change/").content.decode()
    assert "<td>Name</td><td>Calls</td><td>API calls</td>" in page


def test_the_length_of_the_change_log_does_not_change_query_count(staff_client: Client, django_assert_max_num_queries):
    for number in range(20):
        make_feature(name=f"Feature {number}")
    with django_assert_max_num_queries(10):
        page = staff_client.get("/admin/auditlog/logentry/").content.decode()
    assert page.count("Feature ") >= 20


def test_the_number_of_staff_does_not_change_query_count(staff_client: Client, django_assert_max_num_queries):
    group = Group.objects.create(name="Night shift")
    for number in range(20):
        User.objects.create_user(f"clerk{number}").groups.add(group)
    with django_assert_max_num_queries(15):
        page = staff_client.get("/admin/auth/user/").content.decode()
    assert page.count("Night shift") >= 20


@pytest.mark.browser
def test_the_browser_reports_no_errors(admin_browser: AdminBrowser):
    task = PeriodicTask.objects.get(task="events.tasks.prune")
    of_task = [f"{LISTS[0]}{task.pk}/change/", f"{LISTS[0]}{task.pk}/delete/"]
    for path in [*LISTS, *of_task, "/admin/auth/user/add/"]:
        admin_browser.open(path)


@pytest.mark.browser
def test_the_api_reference_needs_no_other_host(admin_browser: AdminBrowser):
    page = admin_browser.open("/v1/docs")
    page.get_by_text("Countinghouse API").first.wait_for(timeout=60_000)


@pytest.mark.browser
def test_the_policy_refuses_an_injected_script(admin_browser: AdminBrowser):
    page = admin_browser.open("/admin/auth/user/")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert page.evaluate("window.ran === undefined")
    assert "Content Security Policy" in admin_browser.console_errors.pop()
