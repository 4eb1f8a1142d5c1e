"""Worker and beat write a file every few seconds while they work. `compose.yaml` checks its age."""

import logging
from pathlib import Path

from django.conf import settings

from config.alarms.pace import paced

logger = logging.getLogger(__name__)

PERIOD_S = paced(seconds=5).total_seconds()


def mark_alive(name: str) -> None:
    """Write the file of a process: DATA_DIR/alive/worker or DATA_DIR/alive/beat. If the disk is full, it goes on."""
    path: Path = settings.DATA_DIR / "alive" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        logger.error("%s can't be written: %s", path, error)
