"""What a version needs is on the disk itself before anything can point at it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opscore.lake import storage as module
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
