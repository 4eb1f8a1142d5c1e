"""What the catalog tells the apps above it, after the commit: their cue to look again at events that didn't count.

Every signal carries `by`: who did it, or None. Receivers may be called twice for one cause: be safe to repeat.
"""

from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

feature_created = Signal()
"""`feature`: a new metered feature; events of its name may be waiting."""

feature_activated = Signal()
"""`feature`: was archived, counts again."""

feature_archived = Signal()
"""`feature`: counts no more from here on."""

strings_accepted = Signal()
"""`feature`: takes numeric strings now."""

matching_changed = Signal()
"""`feature`: another set of events matches: filters, or where counting begins, or an unused meter's definition."""

event_name_mapped = Signal()
"""`alias`: an EventNameAlias that was made or pointed elsewhere."""


def after_commit(signal: Signal, sender: type, **what: Any) -> None:
    """Send the signal once the transaction is committed. A receiver that fails is logged and stops nothing."""
    transaction.on_commit(partial(signal.send_robust, sender, **what))
