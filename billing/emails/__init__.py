"""Emails to customers: their texts and recipients, and the outbox that they wait in."""
