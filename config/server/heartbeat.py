"""Worker and beat write a file every few seconds while they work. `compose.yaml` checks its age."""

from pathlib import Path

from django.conf import settings

PERIOD_S = 5.0


def mark_alive(name: str) -> None:
    """Write the file of a process: DATA_DIR/alive/worker or DATA_DIR/alive/beat."""
    path: Path = settings.DATA_DIR / "alive" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
