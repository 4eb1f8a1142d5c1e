"""Parts as Parquet files in a folder."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
from django.core.exceptions import ImproperlyConfigured

from events.history.parquet import read_parquet, write_parquet
from events.history.selection import EventSelection
from events.history.stores import StoreFailed

SUFFIX, PARTIAL = ".parquet", ".partial"


class FolderStore:
    """A folder of Parquet files, one for each part."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc or not parts.path.startswith("/"):
            raise ImproperlyConfigured("EVENT_HISTORY needs an absolute path: file:///path")
        self.folder = Path(unquote(parts.path))

    def write(self, name: str, rows: Path) -> int:
        """Write a file beside its place, and then move it there, which is done entirely or not at all."""
        target, partial = self._path(name), self._path(name).with_suffix(PARTIAL)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_parquet(rows, str(partial))
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
            self._sync_folder()
            return target.stat().st_size
        except (OSError, duckdb.Error) as error:
            raise StoreFailed(f"{target} can't be written: {error}") from error

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, names: Sequence[str], selection: EventSelection, *, most: int | None = None) -> Iterator[bytes]:
        """Yield the selected rows of parts. Raises StoreFailed."""
        if not names:
            return
        with tempfile.TemporaryDirectory() as folder:
            paths, rows = [str(self._path(name)) for name in names], Path(folder) / "rows.csv"
            try:
                yield from read_parquet(paths, selection, rows, most=most)
            except (OSError, duckdb.Error) as error:
                raise StoreFailed(f"{', '.join(names)} can't be read: {error}") from error

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file. Raises StoreFailed."""
        try:
            with self._path(name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StoreFailed(f"{name} can't be read: {error}") from error

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def names(self) -> Iterator[tuple[str, datetime]]:
        """Yield each file's name and when it was written, also of files that were never completed."""
        for file in sorted(self.folder.glob("events-*")):
            yield file.name.removesuffix(SUFFIX), datetime.fromtimestamp(file.stat().st_mtime, UTC)

    def check(self) -> None:
        """Raise StoreFailed if the folder can't be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise StoreFailed(f"{self.folder} can't be written: {error}") from error

    def _path(self, name: str) -> Path:
        return self.folder / (name if name.endswith(PARTIAL) else f"{name}{SUFFIX}")
