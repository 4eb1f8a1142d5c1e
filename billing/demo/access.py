"""The demo's two logins and its API key, created once for each data folder and stored in it.

The database stores only hashes. The secrets that every run prints are in `demo.json`, readable only by its owner.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from django.contrib.auth.models import Group, User

from config.approvals.gate import without_approval
from config.server.problems import StartupProblem
from events.access.keys import KeyRefused, authenticate, make_key, revoke
from events.models import ApiKey

KEY_NAME = "Demo"
OWNER_LOGIN, VIEWER_LOGIN = "owner", "viewer"


@dataclass(frozen=True)
class Access:
    """The secrets that the demo prints: the passwords of its two logins, and its API key."""

    owner_password: str
    viewer_password: str
    api_key: str


def open_access(data_dir: Path, *, now: datetime) -> tuple[Access, User]:
    """Return the demo's secrets and its owner. Missing or invalid secrets are created again. Safe to repeat.

    Raises StartupProblem if the secrets can't be stored in the folder.
    """
    path = data_dir / "demo.json"
    stored = _read_secrets(path)
    access = Access(
        owner_password=stored.get("owner_password") or secrets.token_urlsafe(9),
        viewer_password=stored.get("viewer_password") or secrets.token_urlsafe(9),
        api_key=_get_valid_key(stored.get("api_key", ""), now),
    )
    _write_secrets(path, access)
    owner = _get_or_create_user(OWNER_LOGIN, access.owner_password, "Owner")
    _get_or_create_user(VIEWER_LOGIN, access.viewer_password, "Viewer")
    return access, owner


def _get_valid_key(stored_key: str, now: datetime) -> str:
    """Return the stored API key if it is valid. Otherwise revoke the demo's keys and create one."""
    try:
        authenticate(stored_key, now=now)
    except KeyRefused:
        for old_key in ApiKey.objects.filter(name=KEY_NAME, revoked_at=None):
            revoke(old_key, now=now)
        with without_approval():
            return make_key(KEY_NAME)[1]
    return stored_key


def _get_or_create_user(username: str, password: str, role: str) -> User:
    """Return the staff user with this name and password. Only a new user gets the role."""
    defaults = {"is_staff": True, "email": f"{username}@larkspur.example"}
    user, is_new = User.objects.get_or_create(username=username, defaults=defaults)
    if is_new:
        user.groups.set(Group.objects.filter(name=role))
    if not user.check_password(password):
        user.set_password(password)
        user.save()
    return user


def _read_secrets(path: Path) -> dict[str, str]:
    try:
        secrets_by_name = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return secrets_by_name if isinstance(secrets_by_name, dict) else {}


def _write_secrets(path: Path, access: Access) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(access), file, indent=2)
    except OSError as error:
        raise StartupProblem(f"The demo's logins can't be stored in {path}: {error.strerror}.") from error
