"""Reminders of unpaid invoices: which step is due, taking it, late fees, pauses, schedules, and what is planned."""
