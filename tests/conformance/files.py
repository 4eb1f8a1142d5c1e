"""Reading files of vectors, in the format of `vectors/schema.md`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.conformance.adapter import CATEGORIES

SCHEMA = "1"
OWN_VECTORS = Path(__file__).parent / "vectors"


class Unreadable(Exception):
    """There are no vectors there, or what is there isn't in the format. The message says which file, and why."""


@dataclass(frozen=True)
class VectorFile:
    """One file's vectors, all of one category. `note` says what is odd about the file."""

    category: str
    vectors: list[Mapping[str, Any]]
    note: str = ""

    @property
    def needs_database(self) -> bool:
        """Tell whether running it writes rows, which are rolled back after every vector."""
        return bool(self.vectors) and CATEGORIES[self.category].needs_database


def read(place: Path = OWN_VECTORS) -> list[VectorFile]:
    """Read a file, or every JSON file in a directory and those below it. Raises `Unreadable`, before any runs."""
    if not place.exists():
        raise Unreadable(f"There is no {place}")
    paths = sorted(place.rglob("*.json")) if place.is_dir() else [place]
    if not paths:
        raise Unreadable(f"No vector files (*.json) in {place}")
    files = [read_file(path) for path in paths]
    if not any(file.vectors for file in files):
        raise Unreadable(f"The files in {place} hold no vectors")
    return files


def read_file(path: Path) -> VectorFile:
    """Read one file. What is JSON and no list of vectors has none, and a note. Raises `Unreadable`.

    NaN and the infinities, which JSON hasn't got, become the strings that a sender would have to write.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_constant=str)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("vectors"), list):
        return VectorFile("", [], f"{path} is no file of vectors, and was passed over")
    category, vectors = content.get("category"), content["vectors"]
    if str(content.get("schema", SCHEMA)) != SCHEMA:
        raise Unreadable(f"{path} is of schema {content['schema']}; this reads schema {SCHEMA}")
    if category not in CATEGORIES:
        raise Unreadable(f"{path} is of category {category}; known are {', '.join(CATEGORIES)}")
    said, found = str(content.get("count", len(vectors))), str(len(vectors))
    note = f"{path} says that it holds {said} vectors, and holds {found}" if said != found else ""
    return VectorFile(category, [_named(vector, path, place) for place, vector in enumerate(vectors)], note)


def _named(vector: Any, path: Path, place: int) -> Mapping[str, Any]:
    """Give a vector that has no name its place for one."""
    name = {"id": f"{path.name}[{place}]"}
    return name | vector if isinstance(vector, dict) else name
