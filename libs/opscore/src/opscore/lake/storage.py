"""Bytes of the warehouse: local disk or S3, the same calls, one set of errors.

Called by the writer, the catalog and the artifact store. The warehouse must have been marked by `init_warehouse`:
a mount that is missing looks like an empty folder, and an unmarked folder is refused before anything is written to it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from opscore.domain.errors import LakeUnavailable, StorageFull, WarehouseMissing
from opscore.lake.options import LakeOptions

MARKER = ".lakehouse-warehouse"
SYNCED_AT_ONCE = 8  # the disk writes its journal once for all that wait
OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT}


class Storage:
    """One warehouse. Addresses are full URIs (`file:///...`, `s3://...`) inside or beside it."""

    def __init__(self, options: LakeOptions) -> None:
        self.root = options.warehouse
        self.scheme = urlsplit(options.warehouse).scheme
        self.fs = _file_system(options)

    def path(self, uri: str) -> str:
        """The address as the file system takes it."""
        parts = urlsplit(uri)
        return f"{parts.netloc}{parts.path}" if parts.scheme == "s3" else unquote(parts.path)

    def require(self) -> None:
        """Raise WarehouseMissing unless the warehouse's marker is there."""
        with translated(self.root):
            found = self.fs.get_file_info(self.path(f"{self.root}/{MARKER}")).type
        if found != fs.FileType.File:
            raise WarehouseMissing(where=self.root)

    def initialise(self) -> None:
        """Create the warehouse's root and its marker; the second time changes nothing."""
        try:
            with translated(self.root):
                self.fs.create_dir(self.path(self.root), recursive=True)
        except FileNotFoundError:
            raise WarehouseMissing(where=self.root) from None
        if self.fs.get_file_info(self.path(f"{self.root}/{MARKER}")).type == fs.FileType.NotFound:
            self.put(f"{self.root}/{MARKER}", b"Lakehouse Control Room warehouse\n")

    def create(self, uri: str) -> HashingFile:
        """Open a new file for writing; folders come by themselves."""
        path = self.path(uri)
        with translated(uri):
            if self.scheme == "file":
                self.fs.create_dir(path.rsplit("/", 1)[0], recursive=True)
            return HashingFile(uri, self.fs.open_output_stream(path))

    def put(self, uri: str, content: bytes) -> str:
        """Write one small file whole and return its sha256."""
        file = self.create(uri)
        file.write(content)
        file.close()
        return file.sha256

    def get(self, uri: str) -> bytes | None:
        """Read one small file whole; None when it is not there."""
        try:
            with translated(uri), self.fs.open_input_stream(self.path(uri)) as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def make_durable(self, uris: Iterable[str]) -> None:
        """Have local files and the folders that name them survive a loss of power; S3 answers only when they do."""
        if self.scheme != "file":
            return
        files = [self.path(uri) for uri in uris]
        root = self.path(self.root)
        folders = {folder for file in files for folder in _folders(file, root)}
        with translated(self.root), ThreadPoolExecutor(SYNCED_AT_ONCE) as pool:
            list(pool.map(_sync, files))
            list(pool.map(_sync, sorted(folders)))

    def delete(self, uris: Iterable[str]) -> None:
        """Remove files; missing ones are no fault."""
        for uri in uris:
            with suppress(FileNotFoundError), translated(uri):
                self.fs.delete_file(self.path(uri))


class HashingFile(io.RawIOBase):
    """A binary sink that hashes what passes. Handed to the Parquet writer as a Python file object."""

    def __init__(self, uri: str, stream: Any) -> None:
        super().__init__()
        self.uri = uri
        self.size = 0
        self._stream = stream
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hex digest of all bytes written so far."""
        return self._digest.hexdigest()

    def write(self, data: Any) -> int:
        """Append bytes. Raises StorageFull, LakeUnavailable."""
        with translated(self.uri):
            self._stream.write(data)
        self._digest.update(data)
        size = memoryview(data).nbytes
        self.size += size
        return size

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size

    def flush(self) -> None:
        """Hand what is buffered to the store."""
        with translated(self.uri):
            self._stream.flush()

    def close(self) -> None:
        """Finish the file."""
        if self.closed:
            return
        super().close()  # flushes, so it comes before the stream's own end
        with translated(self.uri):
            self._stream.close()

    def writable(self) -> bool:
        """Always."""
        return True


@contextmanager
def translated(where: str) -> Generator[None, None, None]:
    """Turn file system faults into ours; a missing file stays FileNotFoundError for the caller to judge."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in OUT_OF_SPACE or "No space left" in str(error):
            raise StorageFull(where=where) from error
        raise LakeUnavailable(where=where, reason=_first_line(error)) from error
    except pa.ArrowException as error:
        raise LakeUnavailable(where=where, reason=_first_line(error)) from error


def _folders(file: str, root: str) -> list[str]:
    """The folders of a file, up to the warehouse's root."""
    above = [str(folder) for folder in Path(file).parents]
    return [folder for folder in above if folder == root or folder.startswith(f"{root}/")]


def _sync(path: str) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _file_system(options: LakeOptions) -> fs.FileSystem:
    if urlsplit(options.warehouse).scheme == "file":
        return fs.LocalFileSystem()
    return fs.S3FileSystem(
        endpoint_override=options.s3_endpoint,
        access_key=options.s3_access_key_id,
        secret_key=options.s3_secret_access_key,
        region=options.s3_region,
        connect_timeout=10,
        request_timeout=60,
    )


def init_warehouse(options: LakeOptions) -> None:
    """Create the warehouse and mark it as ours. Called when a stack starts."""
    Storage(options).initialise()
