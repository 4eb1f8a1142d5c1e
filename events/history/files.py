"""Parts as Parquet files in a folder."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from events.history.parquet import SUFFIX, ParquetStore
from events.history.stores import StoreFailed

PARTIAL = ".partial"


class FolderStore(ParquetStore):
    """A folder of Parquet files, one for each part."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.netloc or not parts.path.startswith("/"):
            raise ImproperlyConfigured("EVENT_HISTORY needs an absolute path: file:///path")
        self.folder = Path(unquote(parts.path))

    def put(self, name: str, file: Path) -> int:
        """Copy a file beside its place, and then move it there, which is done entirely or not at all."""
        target, partial = self._path(name), self._path(name).with_suffix(PARTIAL)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, partial)
            with partial.open("rb") as copy:
                os.fsync(copy.fileno())
            partial.replace(target)
            self._sync_folder()
            return target.stat().st_size
        except OSError as error:
            raise StoreFailed(f"{target} can't be written: {error}") from error

    def fetch(self, name: str, file: Path) -> None:
        try:
            shutil.copyfile(self._path(name), file)
        except OSError as error:
            raise StoreFailed(f"{name} can't be read: {error}") from error

    def source(self, name: str) -> str:
        return str(self._path(name))

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

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
