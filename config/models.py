from config.alarms.models import Alarm
from config.api.models import KeptAnswer
from config.approvals.models import Approval, ApprovalRule
from config.backups.models import Backup
from config.change_log.models import ChangeLogCheck, ChangeLogCopy, ChangeSeal
from config.installation.models import InstalledGrant, InstalledSchedule
from config.monitoring.models import DatabaseSize, Heartbeat, SchedulingLease, TaskRecord
from config.personal_data.models import PersonalDataErasure, PersonalKey
from config.signin.models import CacheEntry, SignInEvent, SignInRules, StaffSession
from config.webhooks.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage

__all__ = [
    "Alarm",
    "Approval",
    "ApprovalRule",
    "Backup",
    "CacheEntry",
    "ChangeLogCheck",
    "ChangeLogCopy",
    "ChangeSeal",
    "DatabaseSize",
    "Heartbeat",
    "InstalledGrant",
    "InstalledSchedule",
    "KeptAnswer",
    "PersonalDataErasure",
    "PersonalKey",
    "SchedulingLease",
    "SignInEvent",
    "SignInRules",
    "StaffSession",
    "TaskRecord",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookMessage",
]
