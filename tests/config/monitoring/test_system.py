"""The page System and its endpoint: processes, schedules against their plans, queues, the database, alarms."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.alarms.kinds import AlarmKind
from config.alarms.raising import Finding, raise_alarm
from config.backups.models import Backup
from config.monitoring.heartbeats import write_heartbeat
from config.monitoring.models import DatabaseSize, Heartbeat, Process, SchedulingLease, TaskRecord
from config.monitoring.sizes import growth_per_day, note_size
from tests.admin_pages import as_viewer, count_queries, text_of
from tests.api import Api
from tests.config.webhooks.messages import make_endpoint
from tests.events.senders import send
from tests.factories import NOW, make_user

pytestmark = pytest.mark.django_db
PAGE = "/admin/system/"
MB = 2**20


def test_the_page_shows_what_lives_and_what_doesnt(staff_client: Client):
    write_heartbeat(Process.WEB)
    write_heartbeat(Process.WORKER)
    Heartbeat.objects.filter(process=Process.WORKER).update(seen_at=timezone.now() - timedelta(hours=3), host="app-2")
    page = text_of(staff_client.get(PAGE))
    assert "No open alarms." in page
    assert "Web Alive" in page
    assert "Worker Silent app-2" in page
    assert "Beat Never seen" in page
    assert "Release 0.1.0" in page


def test_the_page_and_the_api_say_which_beat_starts_the_schedules(staff_client: Client, api: Api):
    write_heartbeat(Process.BEAT)
    beat = Heartbeat.objects.get()
    Heartbeat.objects.update(host="app-1")
    beat.pk, beat.host = None, "app-2"
    beat.save(force_insert=True)
    assert text_of(staff_client.get(PAGE)).count("stands by") == 2
    now = timezone.now()
    lease = {"host": "app-2", "pid": beat.pid, "since": now, "ends_at": now + timedelta(seconds=10)}
    SchedulingLease.objects.create(holder=uuid4(), **lease)
    page = text_of(staff_client.get(PAGE))
    assert "Beat Alive stands by app-1" in page
    assert "Beat Alive starts the schedules app-2" in page
    starting = [process["host"] for process in api.get("system")["processes"] if process["starts_schedules"]]
    assert starting == ["app-2"]


def test_the_page_shows_schedules_against_their_plans(staff_client: Client):
    now = timezone.now()
    PeriodicTask.objects.update(last_run_at=now)
    TaskRecord.objects.create(
        task="events.tasks.prune", started_at=now, succeeded_at=now, runs=3, failures=1, last_s=1.5
    )
    TaskRecord.objects.create(task="config.tasks.verify_change_log", started_at=now - timedelta(days=3))
    PeriodicTask.objects.filter(task="billing.tasks.start_proofs").update(enabled=False)
    page = text_of(staff_client.get(PAGE))
    assert "Remove expired events and logs At 03:10" in page
    assert "OK" in page
    assert "1.50 s" in page
    assert "Prove billing At 03:40 UTC Disabled" in page
    assert "Verify the change log At 02:50 UTC Missed" in page


def test_a_schedule_that_the_product_needs_is_a_fault_if_it_is_disabled_or_deleted(staff_client: Client):
    PeriodicTask.objects.filter(task="billing.tasks.run_billing").update(enabled=False)
    PeriodicTask.objects.filter(task="events.tasks.roll_up").delete()
    daily = CrontabSchedule.objects.first()
    PeriodicTask.objects.create(name="Ours", task="ours.tasks.run", crontab=daily, enabled=False)
    response = staff_client.get(PAGE)
    assert response.content.decode().count('ch-badge-danger">Disabled') == 1
    assert "Roll up past days of usage – Deleted Adds up the hours of past days" in text_of(response)


def test_the_page_shows_queues_and_alarms(staff_client: Client):
    send("api.calls", received_at=timezone.now() - timedelta(minutes=5))
    raise_alarm(Finding(AlarmKind.DISK_LOW, "1 GB left.", "Extend the disk."), now=timezone.now())
    page = text_of(staff_client.get(PAGE))
    assert "Events 1 5 min" in page
    assert "Webhook deliveries 0 –" in page
    assert "Tasks in the queue runs" in page
    assert "1 GB left." in page


def test_who_may_not_see_alarms_doesnt_see_the_page():
    client = Client()
    client.force_login(make_user())
    assert client.get(PAGE).status_code == 403
    assert as_viewer("config").get(PAGE).status_code == 200


def test_the_number_of_processes_does_not_change_query_count(staff_client: Client):
    write_heartbeat(Process.WORKER)
    few = count_queries(staff_client, PAGE)
    beat = Heartbeat.objects.get()
    for number in range(10):
        beat.pk, beat.host = None, f"app-{number}"
        beat.save(force_insert=True)
    assert count_queries(staff_client, PAGE) == few


def test_the_size_of_the_database_is_kept_once_a_day_for_its_growth():
    note_size(now=NOW)
    note_size(now=NOW + timedelta(hours=2))
    assert DatabaseSize.objects.get().bytes > MB
    assert growth_per_day(now=NOW) is None
    DatabaseSize.objects.all().delete()
    for days, size in ((9, 1), (6, 100), (0, 700)):
        DatabaseSize.objects.create(day=(NOW - timedelta(days=days)).date(), bytes=size * MB)
    assert growth_per_day(now=NOW) == 100 * MB


def test_the_page_and_the_api_name_the_last_verified_backup(staff_client: Client, api: Api):
    assert "Last verified backup none" in text_of(staff_client.get(PAGE))
    Backup.objects.create(name="older", started_at=NOW, finished_at=NOW, verified_at=NOW)
    Backup.objects.create(name="not verified", started_at=NOW + timedelta(days=1), finished_at=NOW)
    assert f"Last verified backup {NOW:%Y-%m-%d %H:%M} UTC" in text_of(staff_client.get(PAGE))
    assert api.get("system")["backed_up_at"] == f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


def test_the_api_returns_the_same(api: Api):
    write_heartbeat(Process.WORKER)
    make_endpoint()
    system = api.get("system")
    assert (system["version"], system["open_alarms"]) == ("0.1.0", 0)
    processes = {process["process"]: process["is_alive"] for process in system["processes"]}
    assert processes == {"web": False, "worker": True, "beat": False, "checks": False}
    schedule = next(schedule for schedule in system["schedules"] if schedule["name"] == "Count waiting events")
    assert (schedule["plan"], schedule["is_enabled"], schedule["last_started_at"]) == ("Every second", True, None)
    queues = {queue["name"]: queue["waiting"] for queue in system["queues"]}
    assert list(queues) == ["Events", "Webhook deliveries", "Tasks in the queue celery", "Tasks in the queue runs"]
    assert (queues["Events"], queues["Webhook deliveries"]) == (0, 0)
    assert system["database_bytes"] > MB
