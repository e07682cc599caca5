"""Faults of the store become the house's errors, and a full disk leaves nothing half done."""

from __future__ import annotations

import errno
from pathlib import Path

import pyarrow as pa
import pytest

from opscore.domain.errors import LakeUnavailable, StorageFull, WarehouseMissing
from opscore.lake.options import LakeOptions
from opscore.lake.storage import MARKER, HashingFile, Storage, init_warehouse, translated
from opscore.lake.writer import ParquetFiles

SCHEMA = pa.schema([pa.field("id", pa.int64(), metadata={b"PARQUET:field_id": b"1"})])


def options_at(path: Path) -> LakeOptions:
    return LakeOptions(dsn="postgresql://localhost/none", warehouse=f"file://{path}")


class FullStorage(Storage):
    """Every file is on a disk without room."""

    def create(self, uri: str) -> HashingFile:
        return HashingFile(uri, Path("/dev/full").open("wb", buffering=0))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_is_storage_full(number: int) -> None:
    with pytest.raises(StorageFull, match="some/file"), translated("some/file"):
        raise OSError(number, "No space left on device")


def test_another_fault_is_a_lake_that_does_not_answer() -> None:
    with pytest.raises(LakeUnavailable, match="timed out"), translated("some/file"):
        raise OSError("AWS Error NETWORK_CONNECTION: timed out")


def test_a_full_disk_stops_the_writer_and_leaves_nothing(tmp_path: Path) -> None:
    files = ParquetFiles(FullStorage(options_at(tmp_path)), f"file://{tmp_path}/t", SCHEMA)
    files.write(pa.RecordBatch.from_pydict({"id": [1]}, schema=SCHEMA))

    with pytest.raises(StorageFull):
        files.close()
    files.abort()

    assert list(tmp_path.iterdir()) == []


def test_a_long_table_rolls_over_to_the_next_file(tmp_path: Path) -> None:
    files = ParquetFiles(Storage(options_at(tmp_path)), f"file://{tmp_path}/t", SCHEMA, file_bytes=1)
    for start in range(0, 400_000, 100_000):
        files.write(pa.RecordBatch.from_pydict({"id": range(start, start + 100_000)}, schema=SCHEMA))

    written = files.close()

    assert [(file.path[-11:], file.rows) for file in written] == [("t-0.parquet", 200_000), ("t-1.parquet", 200_000)]


def test_a_writer_without_rows_leaves_no_file(tmp_path: Path) -> None:
    files = ParquetFiles(Storage(options_at(tmp_path)), f"file://{tmp_path}/t", SCHEMA)

    assert files.close() == ()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_the_marker_is_no_warehouse(tmp_path: Path) -> None:
    storage = Storage(options_at(tmp_path))

    with pytest.raises(WarehouseMissing):
        storage.require()


def test_a_warehouse_is_initialised_once(tmp_path: Path) -> None:
    options, marker = options_at(tmp_path / "warehouse"), tmp_path / "warehouse" / MARKER
    init_warehouse(options)
    Storage(options).require()
    marker.write_bytes(b"as an older release wrote it")

    init_warehouse(options)

    assert marker.read_bytes() == b"as an older release wrote it"


def test_options_keep_secrets_out_of_their_text() -> None:
    options = LakeOptions(dsn="postgresql://u:hidden@h/d", warehouse="s3://b", s3_secret_access_key="hidden")

    assert "hidden" not in repr(options)
