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
        from auditlog.models import LogEntry
        from auditlog.registry import auditlog
        from auditlog.signals import pre_log
        from django.contrib.auth.models import Group, User

        from config import timeouts
        from config.alarms import messages as alarm_messages
        from config.approvals import messages, rules
        from config.audit import note_logged, note_password, protect_entry, record_password, sign_entry
        from config.backups.alarms import register_backup_alarms
        from config.db import lookups
        from config.installation import roles, schedules
        from config.monitoring import task_records
        from config.monitoring.checks import register_checks
        from config.monitoring.metrics import register_sources
        from config.server import checks, log  # noqa: F401  importing the module registers its checks
        from config.server.alarms import register_broker_alarm
        from config.signin import receivers

        lookups.register()
        receivers.connect()
        messages.register()
        alarm_messages.register()
        register_backup_alarms()
        register_broker_alarm()
        task_records.connect()
        log.connect()
        log.report_errors()
        log.start_tracing("trace_tasks")
        register_sources()
        register_checks()
        rules.register_operation()
        auditlog.register(User, exclude_fields=["password", "last_login"], m2m_fields={"groups", "user_permissions"})
        pre_save.connect(note_password, sender=User, dispatch_uid="config.password.note")
        post_save.connect(record_password, sender=User, dispatch_uid="config.password.record")
        auditlog.register(Group, m2m_fields={"permissions"})
        for schedule in apps.get_app_config("django_celery_beat").get_models():
            if schedule.__name__ != "PeriodicTasks":  # a counter that the scheduler watches
                auditlog.register(schedule, exclude_fields=["last_run_at", "total_run_count", "date_changed"])
        for label, name in VERBOSE_NAMES.items():
            apps.get_app_config(label).verbose_name = name
        pre_log.connect(note_logged, dispatch_uid="config.personal_data.note")
        pre_save.connect(sign_entry, sender=LogEntry, dispatch_uid="catalog.history")
        pre_save.connect(protect_entry, sender=LogEntry, dispatch_uid="config.personal_data.protect")  # after signing
        pre_migrate.connect(timeouts.limit_migrations, sender=self, dispatch_uid="config.timeouts")
        post_migrate.connect(timeouts.end_migrations, sender=self, dispatch_uid="config.timeouts")
        post_migrate.connect(schedules.install_after_migrate, sender=self, dispatch_uid="config.schedules")
        post_migrate.connect(rules.install_after_migrate, sender=self, dispatch_uid="config.approval_rules")
        # After the last app, so that the permissions of all models can be created.
        post_migrate.connect(
            roles.install_after_migrate, sender=apps.get_app_config("billing"), dispatch_uid="config.roles"
        )
