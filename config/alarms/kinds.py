"""What an alarm can be about, and its status."""

from django.db import models


class AlarmKind(models.TextChoices):
    """The kind of an alarm. `about` of the alarm says which schedule, endpoint or machine it is about."""

    EVENTS_WAITING = "events_waiting", "Events wait to be counted"
    WEB_SILENT = "web_silent", "Web is silent"
    WORKER_SILENT = "worker_silent", "Worker is silent"
    BEAT_SILENT = "beat_silent", "Beat is silent"
    SCHEDULE_MISSED = "schedule_missed", "A schedule was missed"
    SCHEDULE_DISABLED = "schedule_disabled", "A schedule is disabled"
    TASK_FAILING = "task_failing", "A task fails"
    RUN_STUCK = "run_stuck", "A billing run is stuck"
    BILLING_FAILING = "billing_failing", "Subscriptions can't be billed"
    USAGE_DIFFERS = "usage_differs", "Usage differs from the events"
    PROOF_FAILED = "proof_failed", "A proof found a difference"
    CHANGE_LOG_BROKEN = "change_log_broken", "The change log was tampered with"
    CHANGE_LOG_NOT_COPIED = "change_log_not_copied", "The change log isn't copied"
    WEBHOOK_FAILING = "webhook_failing", "A webhook endpoint fails"
    EMAIL_FAILING = "email_failing", "Emails aren't delivered"
    DISK_LOW = "disk_low", "Space runs out"
    CLOCK_DIFFERS = "clock_differs", "A clock differs"
    LOCK_HELD = "lock_held", "A session holds a lock"
    DATABASE_STOPPED = "database_stopped", "PostgreSQL stopped"
    WRITES_REFUSED = "writes_refused", "PostgreSQL refuses to write"
    BROKER_FILE = "broker_file", "A message of the broker was set aside"
    BACKUP_OLD = "backup_old", "The last backup is too old"
    BACKUP_FAILED = "backup_failed", "A backup or its verification failed"
    SEALING_BEHIND = "sealing_behind", "Events aren't sealed"
    SELF_TEST_FAILED = "self_test_failed", "The self-test failed"
    CHECK_FAILED = "check_failed", "A check couldn't be carried out"


class AlarmStatus(models.TextChoices):
    """Whether an alarm is open, and whether someone takes care of it."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


def list_kinds() -> list[tuple[str, str]]:
    """Return the choices of the column, to which migrations refer instead of listing them."""
    return AlarmKind.choices
