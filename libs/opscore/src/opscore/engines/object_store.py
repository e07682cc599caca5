"""`s3://` files for DuckDB through Arrow's own S3 client, since DuckDB's would have to be downloaded."""

from __future__ import annotations

from typing import Any

from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import FileSystem, S3FileSystem

from opscore.ports.engine import S3Access


class ObjectStore(ArrowFSWrapper):
    """An Arrow file system that answers to `s3://`."""

    @property
    def protocol(self) -> str:
        """The scheme DuckDB sends here."""
        return "s3"


def duckdb_filesystem(access: S3Access) -> Any:
    """What `register_filesystem` takes."""
    return wrapped(_s3(access))


def wrapped(filesystem: FileSystem) -> Any:
    """Any Arrow file system as the one behind `s3://`."""
    return ObjectStore(filesystem)


def _s3(access: S3Access) -> S3FileSystem:
    settings: dict[str, Any] = {
        "access_key": access.access_key_id,
        "secret_key": access.secret_access_key,
        "endpoint_override": access.endpoint,
        "region": access.region,
    }
    return S3FileSystem(**{name: value for name, value in settings.items() if value is not None})
