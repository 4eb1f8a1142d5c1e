"""Replay events as soon as the catalog or the customers change so that they count. The schedule does so anyway."""

import logging
from typing import Any

from kombu.exceptions import OperationalError

from catalog import signals as catalog
from customers import signals as customers
from events.tasks import replay_mended

log = logging.getLogger(__name__)
SIGNALS = (
    catalog.feature_created,
    catalog.feature_activated,
    catalog.strings_accepted,
    catalog.matching_changed,
    catalog.event_name_mapped,
    customers.customer_created,
    customers.customer_activated,
    customers.external_id_mapped,
)


def connect() -> None:
    """Listen to every signal. A second call changes nothing."""
    for signal in SIGNALS:
        signal.connect(enqueue_replay, dispatch_uid="events.ask_for_sweep")


def enqueue_replay(sender: type, **details: Any) -> None:
    """Enqueue the replay of events that now count. Without a broker nothing is lost: the schedule replays them."""
    try:
        replay_mended.apply_async(retry=False, expires=60)
    except (OperationalError, OSError) as error:
        log.warning("The replay couldn't be enqueued: %s", error)
