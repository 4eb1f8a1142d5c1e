"""How a person gets in: two logins and an API key, made once for a data folder and kept beside the data.

The database holds only hashes, so what is shown on every run is kept in `demo.json`, readable by its owner only.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from django.contrib.auth.models import Group, User

from config.server.problems import StartupProblem
from events.access.keys import KeyRefused, authenticate, make_key, revoke
from events.models import ApiKey

KEY_NAME = "Demo"
OWNER_LOGIN, VIEWER_LOGIN = "owner", "viewer"


@dataclass(frozen=True)
class Access:
    """What the demo prints: the passwords of its two logins, and its API key."""

    owner_password: str
    viewer_password: str
    api_key: str


def open_access(data_dir: Path, *, now: datetime) -> tuple[Access, User]:
    """Return the demo's secrets and its owner, making what isn't there or doesn't fit any more. Safe to repeat.

    Raises StartupProblem when the secrets can't be kept in the folder.
    """
    path = data_dir / "demo.json"
    kept = _read(path)
    access = Access(
        owner_password=kept.get("owner_password") or secrets.token_urlsafe(9),
        viewer_password=kept.get("viewer_password") or secrets.token_urlsafe(9),
        api_key=_working_key(kept.get("api_key", ""), now),
    )
    _write(path, access)
    owner = _login(OWNER_LOGIN, access.owner_password, "Owner")
    _login(VIEWER_LOGIN, access.viewer_password, "Viewer")
    return access, owner


def _working_key(kept: str, now: datetime) -> str:
    """Return the kept key if it still opens the API; else make a new one, in place of the demo's earlier ones."""
    try:
        authenticate(kept, now=now)
    except KeyRefused:
        for earlier in ApiKey.objects.filter(name=KEY_NAME, revoked_at=None):
            revoke(earlier, now=now)
        return make_key(KEY_NAME)[1]
    return kept


def _login(username: str, password: str, role: str) -> User:
    """Return the staff user of this name, given this password where need be. Only a new one is given the role."""
    defaults = {"is_staff": True, "email": f"{username}@larkspur.example"}
    user, is_new = User.objects.get_or_create(username=username, defaults=defaults)
    if is_new:
        user.groups.set(Group.objects.filter(name=role))
    if not user.check_password(password):
        user.set_password(password)
        user.save()
    return user


def _read(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(path: Path, access: Access) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(access), file, indent=2)
    except OSError as error:
        raise StartupProblem(f"The demo's logins can't be kept in {path}: {error.strerror}.") from error
