"""Webhooks: signed messages to other systems, written with the change they report and retried until accepted."""
