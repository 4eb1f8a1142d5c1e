"""Reminders in the admin: the list, schedules, pauses, and actions on invoices' and customers' pages."""

from billing.admin.reminders import customer_actions, pause_admin, reminder_admin, schedule_admin

__all__ = ["customer_actions", "pause_admin", "reminder_admin", "schedule_admin"]
