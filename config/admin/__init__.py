"""The Settings pages of the admin, registered when Django's autodiscovery imports this package."""

from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from allauth.socialaccount.admin import SocialAccount, SocialApp, SocialToken
from django.contrib import admin

from config.admin import change_log, schedules, staff
from config.alarms import admin as alarms
from config.approvals import admin as approvals
from config.backups import admin as backups
from config.monitoring import page as system_page
from config.signin import admin as signin
from config.webhooks import admin as webhooks

__all__ = [
    "alarms",
    "approvals",
    "backups",
    "change_log",
    "schedules",
    "signin",
    "staff",
    "system_page",
    "webhooks",
]

# Colleagues manage these at Sign-in and security, and owners on the colleague's page.
for unused in (Authenticator, EmailAddress, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(unused)

admin.site.empty_value_display = "–"  # docs/words.md

system_page.attach()  # here, since Unfold has replaced the admin site by now
