"""What the apps below say was mended: a cue to look at once. The regular sweep would find it anyway."""

import logging
from typing import Any

from kombu.exceptions import OperationalError

from catalog import signals as catalog
from customers import signals as customers

log = logging.getLogger(__name__)
CUES = (
    *(catalog.feature_created, catalog.feature_activated, catalog.strings_accepted, catalog.matching_changed),
    *(catalog.event_name_mapped, customers.customer_created, customers.customer_activated),
    customers.external_id_mapped,
)


def connect() -> None:
    """Listen to every cue. A second call changes nothing."""
    for cue in CUES:
        cue.connect(ask_for_sweep, dispatch_uid="events.ask_for_sweep")


def ask_for_sweep(sender: type, **what: Any) -> None:
    """Ask a worker to replay what was mended. Without a broker nothing is lost: the schedule asks again."""
    from events.tasks import replay_mended

    try:
        replay_mended.apply_async(retry=False, expires=60)
    except (OperationalError, OSError) as error:
        log.warning("The worker couldn't be asked to replay at once: %s", error)
