"""What a version needs is on the disk itself before anything can point at it."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from opscore.lake import storage as module
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from opscore.lake.storage import Storage


def test_files_and_their_folders_are_synced_up_to_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(LakeOptions(dsn="postgresql://nowhere/x", warehouse=f"file://{tmp_path}/lake"))
    storage.initialise()
    uri = f"file://{tmp_path}/lake/bronze/t/data/a.parquet"
    storage.put(uri, b"rows")
    synced: list[str] = []
    fsync = os.fsync

    def noted(number: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{number}").readlink().relative_to(tmp_path)))
        fsync(number)

    monkeypatch.setattr(module.os, "fsync", noted)

    storage.make_durable([uri])

    assert synced[0] == "lake/bronze/t/data/a.parquet"
    assert sorted(synced[1:]) == ["lake", "lake/bronze", "lake/bronze/t", "lake/bronze/t/data"]


def test_a_staged_version_has_every_file_it_added_synced(lake: LakeCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    monkeypatch.setattr(lake.storage, "make_durable", synced.update)
    schema = pa.schema([("id", pa.int64())])
    files = lake.writer("bronze.t", schema, run_id="r", part="0")
    files.write(pa.table({"id": [1]}, schema=schema))

    lake.stage_append("bronze.t", schema, files.close(), run_id="r", properties={})

    folder = Path(lake.location("bronze.t").removeprefix("file://"))
    assert {uri.removeprefix("file://") for uri in synced} == {
        str(path) for path in folder.rglob("*") if path.is_file()
    }
