"""The secret key of a laptop: made once, kept beside the data, never in the repository."""

import contextlib
import os
import secrets
from pathlib import Path


def laptop_secret_key(data_dir: Path) -> str:
    """Return the key kept in `data_dir/secret_key`, making it (readable by its owner only) the first time.

    Two processes that start together agree: the file appears whole, and the first one's stays. Empty when
    the folder can't be read or written: Django then names the missing SECRET_KEY itself.
    """
    path = data_dir / "secret_key"
    try:
        if not path.exists():
            _write_once(path, secrets.token_urlsafe(64))
        return path.read_text().strip()
    except OSError:
        return ""


def _write_once(path: Path, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(key + "\n")
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
