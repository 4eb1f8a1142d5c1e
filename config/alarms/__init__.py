"""Alarms for those who operate the installation: raised and cleared by checks, shown, mailed, sent as webhooks."""
