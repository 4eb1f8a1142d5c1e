"""The Settings pages of the admin: schedules, staff, roles and the log of changes."""

from datetime import UTC, datetime

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from tests.admin_pages import as_viewer, submit, url
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
    assert "Every second" in page
    assert "At 03:10" in page


def test_staff_change_a_schedule(staff_client: Client):
    task = PeriodicTask.objects.get(task="events.tasks.prune")
    later, _ = CrontabSchedule.objects.get_or_create(hour="5", minute="0")
    form = {"name": "Clean up", "crontab": later.pk, "task": "ours.tasks.run", "regtask": "ours", "one_off": "on"}
    answer = staff_client.post(f"{LISTS[0]}{task.pk}/change/", form)
    assert answer.status_code == 302
    task.refresh_from_db()
    assert (task.name, task.crontab) == ("Clean up", later)
    assert (task.task, task.one_off, task.enabled) == ("events.tasks.prune", False, True)  # these stay


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
    task = PeriodicTask.objects.create(name="Ours", task="ours.tasks.run", interval=IntervalSchedule.objects.first())
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


@pytest.fixture
def billing(db: None) -> PeriodicTask:
    return PeriodicTask.objects.get(task="billing.tasks.run_billing")


def switch(client: Client, schedule: PeriodicTask, name: str, **answers: str) -> HttpResponse:
    address = url(f"django_celery_beat_periodictask_{name}", schedule.pk)
    response: HttpResponse = submit(client, address, **answers)
    return response


def test_a_schedule_is_disabled_and_enabled_with_a_reason_in_the_change_log(
    staff_client: Client, staff_user: User, billing: PeriodicTask
):
    switch(staff_client, billing, "disable")
    billing.refresh_from_db()
    assert billing.enabled  # no reason was given
    switch(staff_client, billing, "disable", reason="The migration of invoices")
    billing.refresh_from_db()
    assert not billing.enabled
    entry = LogEntry.objects.get_for_object(billing).first()
    assert (entry.actor, entry.additional_data["reason"]) == (staff_user, "The migration of invoices")
    assert entry.changes["enabled"] == [True, False]
    switch(staff_client, billing, "enable")
    billing.refresh_from_db()
    assert billing.enabled


def test_no_form_and_no_list_disables_a_schedule(staff_client: Client, billing: PeriodicTask):
    for name in ("disable_tasks", "toggle_tasks", "enable_tasks"):
        staff_client.post(LISTS[0], {"action": name, "_selected_action": [billing.pk]})
    staff_client.post(f"{LISTS[0]}{billing.pk}/change/", {"name": billing.name, "crontab": billing.crontab_id})
    billing.refresh_from_db()
    assert billing.enabled


def test_a_schedule_that_the_product_needs_cant_be_deleted(staff_client: Client, billing: PeriodicTask):
    page = f"{LISTS[0]}{billing.pk}"
    assert f"{page}/delete/" not in staff_client.get(f"{page}/change/").content.decode()
    assert staff_client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [billing.pk], "post": "yes"}
    staff_client.post(LISTS[0], chosen)
    staff_client.post(f"/admin/django_celery_beat/crontabschedule/{billing.crontab_id}/delete/", {"post": "yes"})
    staff_client.post("/admin/django_celery_beat/crontabschedule/", chosen | {"_selected_action": [billing.crontab_id]})
    assert PeriodicTask.objects.filter(pk=billing.pk).exists()


def test_a_schedule_of_staff_can_be_deleted(staff_client: Client):
    ours = PeriodicTask.objects.create(name="Ours", task="ours.tasks.run", interval=IntervalSchedule.objects.first())
    assert staff_client.post(f"{LISTS[0]}{ours.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not PeriodicTask.objects.filter(pk=ours.pk).exists()


def test_who_only_sees_schedules_cant_run_or_switch_them(billing: PeriodicTask):
    viewer = as_viewer("django_celery_beat")
    assert "run_tasks" not in viewer.get(LISTS[0]).content.decode()
    assert switch(viewer, billing, "disable", reason="No").status_code == 403
