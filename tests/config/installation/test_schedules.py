"""The default schedules come once; what staff do with them afterwards stays."""

import pytest
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from config import celery_app
from config.installation.schedules import DEFAULTS, install_schedules

pytestmark = pytest.mark.django_db


def test_migrating_installs_the_default_schedules():
    installed = set(PeriodicTask.objects.values_list("task", flat=True))
    assert installed == {schedule.task for schedule in DEFAULTS}
    assert installed >= {
        "events.tasks.process_inbox",
        "events.tasks.prune",
        "events.tasks.check_usage",
        "billing.tasks.run_billing",
        "billing.tasks.finalize_due",
    }


def test_every_schedule_names_a_task_that_exists():
    celery_app.loader.import_default_modules()
    assert {schedule.task for schedule in DEFAULTS} <= set(celery_app.tasks)


def test_the_inbox_is_processed_every_second():
    interval = PeriodicTask.objects.get(task="events.tasks.process_inbox").interval
    assert (interval.every, interval.period) == (1, IntervalSchedule.SECONDS)


def test_old_rows_are_deleted_at_ten_past_three_utc():
    crontab = PeriodicTask.objects.get(task="events.tasks.prune").crontab
    assert (crontab.hour, crontab.minute, str(crontab.timezone)) == ("3", "10", "UTC")


def test_installing_again_adds_nothing():
    assert install_schedules() == 0


def test_an_edited_schedule_stays_edited():
    task = PeriodicTask.objects.get(task="events.tasks.prune")
    task.crontab = CrontabSchedule.objects.create(hour="5", minute="0")
    task.name, task.enabled = "Clean up", False
    task.save()
    install_schedules()
    task.refresh_from_db()
    assert (task.name, task.enabled, task.crontab.hour) == ("Clean up", False, "5")


def test_a_deleted_schedule_stays_deleted():
    PeriodicTask.objects.get(task="events.tasks.prune").delete()
    install_schedules()
    assert not PeriodicTask.objects.filter(task="events.tasks.prune").exists()
