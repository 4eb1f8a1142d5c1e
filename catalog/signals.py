"""Signals about features, sent after the commit, so that events that didn't count can be checked again.

Every signal carries `by`: the user who made the change, or None. Receivers may be called twice for one change.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from catalog.models import PlanVersion

feature_created = Signal()
"""`feature`: a new metered feature. Events of its name may be waiting."""

feature_activated = Signal()
"""`feature`: was archived and counts events again."""

feature_archived = Signal()
"""`feature`: no longer counts events."""

strings_accepted = Signal()
"""`feature`: now accepts numeric strings."""

matching_changed = Signal()
"""`feature`: different events match, because the filters, the start of counting or an unused meter changed."""

event_name_mapped = Signal()
"""`alias`: an EventNameAlias that was created or changed."""

publishing_hooks: list[Callable[[PlanVersion, datetime], list[str]]] = []
"""Called before a draft is published, with the draft and the time. A hook raises a refusal, or returns why a second
person must approve; an empty list if there is no reason."""


def after_commit(signal: Signal, sender: type, **arguments: Any) -> None:
    """Send the signal once the transaction is committed. A failing receiver is logged and doesn't stop the others."""
    transaction.on_commit(partial(signal.send_robust, sender, **arguments))
