"""The secret key of a laptop, generated once and kept in the data folder, outside the repository."""

import contextlib
import os
import secrets
from pathlib import Path


def load_laptop_secret_key(data_dir: Path) -> str:
    """Return the key in `data_dir/secret_key`. The first call generates it, readable by its owner only.

    Processes that start at the same time get the same key, since the first complete file is kept. Returns an empty
    string if the folder can't be read or written, in which case Django reports the missing SECRET_KEY.
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
