"""Emails in the admin: what was sent, sending documents, and the templates."""

from billing.admin.emails import customer_emails, email_admin, template_admin

__all__ = ["customer_emails", "email_admin", "template_admin"]
