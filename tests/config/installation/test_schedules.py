"""The default schedules are installed once, and staff's edits are kept."""

import pytest
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from config import celery_app
from config.installation.schedules import DEFAULTS, install_schedules

pytestmark = pytest.mark.django_db


def test_migrating_installs_them():
    installed = set(PeriodicTask.objects.values_list("task", flat=True))
    assert installed == {schedule.task for schedule in DEFAULTS}
    assert installed >= {
        "events.tasks.process_inbox",
        "events.tasks.prune",
        "billing.tasks.run_billing",
        "billing.tasks.send_emails",
        "billing.tasks.finalize_due",
    }


def test_every_schedule_names_a_task_that_exists():
    celery_app.loader.import_default_modules()
    assert {schedule.task for schedule in DEFAULTS} <= set(celery_app.tasks)


def test_tasks_keep_their_names_for_schedules_and_messages_of_earlier_releases():
    celery_app.loader.import_default_modules()
    assert {name for name in celery_app.tasks if not name.startswith(("celery.", "tests."))} == {
        "billing.tasks.adjust_late_usage",
        "billing.tasks.bill_chunk",
        "billing.tasks.bill_late_usage",
        "billing.tasks.check_invoiced_usage",
        "billing.tasks.continue_simulations",
        "billing.tasks.erase_later_personal_data",
        "billing.tasks.erase_personal_data",
        "billing.tasks.expire_credits",
        "billing.tasks.finalize_due",
        "billing.tasks.foresee_chunk",
        "billing.tasks.go_on_with_month_ends",
        "billing.tasks.go_on_with_proofs",
        "billing.tasks.retry_subscriptions",
        "billing.tasks.run_billing",
        "billing.tasks.send_emails",
        "billing.tasks.send_reminders",
        "billing.tasks.start_proofs",
        "config.tasks.check_for_alarms",
        "billing.tasks.self_test",
        "config.tasks.back_up",
        "config.tasks.deliver_webhooks",
        "config.tasks.expire_approvals",
        "config.tasks.seal_change_log",
        "config.tasks.verify_change_log",
        "events.tasks.check_alerts",
        "events.tasks.go_on_mending",
        "events.tasks.process_inbox",
        "events.tasks.prune",
        "events.tasks.replay_mended",
        "events.tasks.compare_repeats",
        "events.tasks.roll_up",
        "events.tasks.seal",
        "events.tasks.tell_of_causes",
    }


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


def test_a_schedule_whose_work_another_one_does_now_is_removed():
    every_night = CrontabSchedule.objects.create(hour="2", minute="30")
    PeriodicTask.objects.create(name="Nightly recount", task="events.tasks.check_usage", crontab=every_night)
    assert install_schedules() == 0
    assert not PeriodicTask.objects.filter(task="events.tasks.check_usage").exists()
    assert PeriodicTask.objects.filter(task="billing.tasks.start_proofs").exists()
