"""The Settings pages of the admin, registered when Django's autodiscovery imports this package."""

from config.admin import staff, system
from config.alarms import admin as alarms
from config.approvals import admin as approvals
from config.backups import admin as backups
from config.monitoring import page as system_page
from config.signin import admin as signin
from config.webhooks import admin as webhooks

__all__ = ["alarms", "approvals", "backups", "signin", "staff", "system", "system_page", "webhooks"]

system_page.attach()  # here, since Unfold has replaced the admin site by now
