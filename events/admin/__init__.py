"""The admin of events: what came in, how it ended, what keeps it from counting, and the keys that may send."""

from events.admin import alerts, duplicates, history, inbox, keys, ledger, operations, problems, refusals

__all__ = ["alerts", "duplicates", "history", "inbox", "keys", "ledger", "operations", "problems", "refusals"]
