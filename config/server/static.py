"""Collect static files for the web server if they have changed."""

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders

from config.server.problems import StartupProblem


def collect_if_needed(env: Mapping[str, str]) -> None:
    """Run `collectstatic` in the services' environment if a source file changed since the last run."""
    folder = Path(settings.STATIC_ROOT)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # concurrent starts would delete each other's files
        stamp = folder / ".collected"
        fingerprint = _compute_fingerprint()
        if not stamp.exists() or stamp.read_text() != fingerprint:
            _collect(env)
            stamp.write_text(fingerprint)


def _collect(env: Mapping[str, str]) -> None:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "collectstatic", "--noinput", "-v0", "--clear"]
    finished = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
    if finished.returncode:
        errors = finished.stderr.strip().splitlines()
        raise StartupProblem(f"The static files couldn't be collected: {errors[-1] if errors else 'no reason given'}")


def _compute_fingerprint() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
