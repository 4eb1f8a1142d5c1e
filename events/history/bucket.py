"""Parts as Parquet files in a bucket of Amazon S3, or of a service with the same interface."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import duckdb
import fsspec
import obstore
from django.core.exceptions import ImproperlyConfigured
from obstore.exceptions import BaseError
from obstore.store import S3Store

from events.history.parquet import SUFFIX, ParquetStore, connect
from events.history.selection import EventSelection
from events.history.stores import StoreFailed

OPTIONS = ("endpoint_url", "region")
SCHEME = "bucket"  # of a part's address within DuckDB, which has an extension of its own for s3://


class BucketStore(ParquetStore):
    """The objects of a bucket below a prefix, one for each part. Readers get the ranges of them that they need.

    Credentials are in the usual variables (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or those of the machine.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if not parts.netloc or set(options) - set(OPTIONS):
            raise ImproperlyConfigured(
                "EVENT_HISTORY needs a bucket, and no other options than endpoint_url and region: "
                "s3://bucket/prefix?endpoint_url=https://host"
            )
        self.url = url
        endpoint = options.get("endpoint_url")
        settings: dict[str, Any] = {"region": options["region"]} if "region" in options else {}
        if endpoint:
            settings |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        self.bucket: Any = S3Store(
            parts.netloc,
            prefix=unquote(parts.path).strip("/") or None,
            client_options={"allow_http": bool(endpoint and endpoint.startswith("http://"))},
            **settings,
        )
        self.files = ObjectFiles(self.bucket)

    def put(self, name: str, file: Path) -> int:
        """Upload a file. It is there once it is there entirely, also if it is uploaded in several parts."""
        try:
            obstore.put(self.bucket, _key(name), file)
        except (OSError, BaseError) as error:
            raise StoreFailed(f"{name} can't be written: {error}") from error
        return file.stat().st_size

    def fetch(self, name: str, file: Path) -> None:
        with file.open("wb") as target:
            for block in self._blocks(name):
                target.write(block)

    def digest(self, name: str) -> str:
        """Return the SHA-256 of an object. Raises StoreFailed."""
        digest = hashlib.sha256()
        for block in self._blocks(name):
            digest.update(block)
        return digest.hexdigest()

    def _blocks(self, name: str) -> Iterator[bytes]:
        try:
            yield from obstore.get(self.bucket, _key(name)).stream()
        except (OSError, BaseError) as error:
            raise StoreFailed(f"{name} can't be read: {error}") from error

    def delete(self, name: str) -> None:
        obstore.delete(self.bucket, _key(name))

    def names(self) -> Iterator[tuple[str, datetime]]:
        """Yield each object's name and when it was written."""
        for objects in obstore.list(self.bucket):
            for item in objects:
                if item["path"].startswith("events-"):
                    yield item["path"].removesuffix(SUFFIX), item["last_modified"]

    def check(self) -> None:
        """Raise StoreFailed if the bucket can't be written."""
        try:
            obstore.put(self.bucket, "check", b"")
            obstore.delete(self.bucket, "check")
        except (OSError, BaseError) as error:
            raise StoreFailed(f"{self.url.partition('?')[0]} can't be written: {error}") from error

    def read(
        self, names: Sequence[str], selection: EventSelection, *, most: int | None = None, newest: bool | None = None
    ) -> Iterator[bytes]:
        """Yield the selected rows of parts. Raises StoreFailed."""
        try:
            self.files.look_at([_key(name) for name in names])
        except (OSError, BaseError) as error:
            raise StoreFailed(f"{', '.join(names)} can't be read: {error}") from error
        return super().read(names, selection, most=most, newest=newest)

    def source(self, name: str) -> str:
        return f"{SCHEME}://{_key(name)}"

    def connect(self) -> duckdb.DuckDBPyConnection:
        _register(os.getpid(), self)
        return connect(self.url)


def _key(name: str) -> str:
    return f"{name}{SUFFIX}"


@cache
def _register(process: int, store: BucketStore) -> None:
    """Let this process's DuckDB read the objects of a bucket."""
    connect(store.url).register_filesystem(store.files)


class ObjectFiles(fsspec.AbstractFileSystem):
    """The objects of a bucket as the files that DuckDB reads."""

    protocol = SCHEME
    cachable = False

    def __init__(self, bucket: Any) -> None:
        super().__init__()
        self.bucket = bucket
        self.heads: dict[str, Any] = {}

    def look_at(self, paths: Iterable[str]) -> None:
        """Ask for the sizes of objects, once for a query: DuckDB asks for them a dozen times."""
        for path in paths:
            self.heads[path] = obstore.head(self.bucket, path)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        return {"name": path, "size": self.heads[self._strip_protocol(path)]["size"], "type": "file"}

    def modified(self, path: str) -> datetime:
        modified: datetime = self.heads[self._strip_protocol(path)]["last_modified"]
        return modified

    def _open(self, path: str, mode: str = "rb", **options: Any) -> "ObjectReader":
        return ObjectReader(self.bucket, self._strip_protocol(path))


class ObjectReader:
    """Reads ranges of an object, each in a request."""

    def __init__(self, bucket: Any, path: str) -> None:
        self.bucket, self.path, self.position = bucket, path, 0

    def seek(self, position: int) -> int:
        self.position = position
        return position

    def read(self, length: int) -> bytes:
        block = bytes(obstore.get_range(self.bucket, self.path, start=self.position, length=length))
        self.position += len(block)
        return block

    def close(self) -> None:
        """Do nothing: there is no connection of its own."""
