from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate, post_save, pre_migrate, pre_save

VERBOSE_NAMES = {
    "auth": "Staff",
    "auditlog": "Change log",
    "django_celery_beat": "Schedules",
}  # third-party apps, with the names of the sidebar


class ConfigConfig(AppConfig):
    """Server processes, database helpers, and the base classes of API views and admin pages, used by all apps."""

    name = "config"
    verbose_name = "Settings"

    def ready(self) -> None:
        _register_parts()
        _watch_tasks()
        _record_changes()
        _name_apps()
        _connect_migrations(self)


def _register_parts() -> None:
    """Register messages, alarms, operations and checks of the parts of this app."""
    from config.alarms import messages as alarm_messages
    from config.approvals import messages, rules
    from config.backups.alarms import register_backup_alarms
    from config.db import lookups
    from config.server import checks  # noqa: F401  importing the module registers its checks
    from config.server.alarms import register_broker_alarm
    from config.signin import receivers

    lookups.register()
    receivers.connect()
    messages.register()
    alarm_messages.register()
    register_backup_alarms()
    register_broker_alarm()
    rules.register_operation()


def _watch_tasks() -> None:
    """Connect what is recorded, logged and measured about tasks and processes."""
    from config.backups.metrics import register_backup_metrics
    from config.monitoring import task_records
    from config.monitoring.checks import register_checks
    from config.monitoring.metrics import register_sources
    from config.server import log

    task_records.connect()
    log.connect()
    log.report_errors()
    log.start_tracing("trace_tasks")
    register_sources()
    register_backup_metrics()
    register_checks()


def _record_changes() -> None:
    """Record changes of staff, roles and schedules, and sign and protect the entries of the change log."""
    from auditlog.models import LogEntry
    from auditlog.registry import auditlog
    from auditlog.signals import pre_log
    from django.contrib.auth.models import Group, User

    from config.audit import note_logged, note_password, protect_entry, record_password, sign_entry

    auditlog.register(User, exclude_fields=["password", "last_login"], m2m_fields={"groups", "user_permissions"})
    pre_save.connect(note_password, sender=User, dispatch_uid="config.password.note")
    post_save.connect(record_password, sender=User, dispatch_uid="config.password.record")
    auditlog.register(Group, m2m_fields={"permissions"})
    for schedule in apps.get_app_config("django_celery_beat").get_models():
        if schedule.__name__ != "PeriodicTasks":  # a counter that the scheduler watches
            auditlog.register(schedule, exclude_fields=["last_run_at", "total_run_count", "date_changed"])
    pre_log.connect(note_logged, dispatch_uid="config.personal_data.note")
    pre_save.connect(sign_entry, sender=LogEntry, dispatch_uid="catalog.history")
    pre_save.connect(protect_entry, sender=LogEntry, dispatch_uid="config.personal_data.protect")  # after signing


def _name_apps() -> None:
    for label, name in VERBOSE_NAMES.items():
        apps.get_app_config(label).verbose_name = name


def _connect_migrations(sender: AppConfig) -> None:
    """Limit how long migrations wait for locks, and install schedules, rules and roles after them."""
    from config import timeouts
    from config.approvals import rules
    from config.installation import roles, schedules

    pre_migrate.connect(timeouts.limit_migrations, sender=sender, dispatch_uid="config.timeouts")
    post_migrate.connect(timeouts.end_migrations, sender=sender, dispatch_uid="config.timeouts")
    post_migrate.connect(schedules.install_after_migrate, sender=sender, dispatch_uid="config.schedules")
    post_migrate.connect(rules.install_after_migrate, sender=sender, dispatch_uid="config.approval_rules")
    # After the last app, so that the permissions of all models can be created.
    last = apps.get_app_config("billing")
    post_migrate.connect(roles.install_after_migrate, sender=last, dispatch_uid="config.roles")
