"""The result of a backup's verification, in a file beside its dump, so that it is known without the database."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

FILE = "verification.json"
UNREADABLE = f"{FILE} is unreadable."


@dataclass(frozen=True, slots=True)
class Verification:
    """When a backup was last verified, and what was wrong, or an empty string."""

    at: str
    problem: str


def write_result(folder: Path, problem: str, *, at: datetime) -> None:
    """Write the result of a verification beside the backup, in place of an earlier one."""
    draft = folder / f".{FILE}"
    draft.touch(mode=0o600)
    with draft.open("w") as file:
        json.dump(asdict(Verification(at.isoformat(), problem)), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(folder / FILE)


def read_result(folder: Path) -> Verification | None:
    """Return the result of the last verification, or `None` if the backup was never verified."""
    try:
        return Verification(**json.loads((folder / FILE).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Verification("", UNREADABLE)


def find_problem(folder: Path) -> str:
    """Return what the last verification found, or an empty string if nothing or if there was none."""
    result = read_result(folder)
    return result.problem if result else ""


def is_verified(folder: Path) -> bool:
    """Tell whether the backup was verified and nothing was wrong."""
    result = read_result(folder)
    return result is not None and not result.problem
