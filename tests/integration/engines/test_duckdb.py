from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import fs

from opscore.domain.errors import QueryFailed, StorageFull
from opscore.domain.table import TableVersion
from opscore.engines import duckdb as adapter
from opscore.engines import object_store, spill
from opscore.engines.duckdb import DuckDBEngine
from opscore.ports.engine import EngineLimits


def test_objects_are_read_through_arrow_even_when_locked(
    tmp_path: Path, write: Callable[..., str], table: Callable[..., TableVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bucket").mkdir()
    write("bucket/a b.parquet", [(1, "id", pa.int32())], [(1,), (2,)])
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(adapter, "duckdb_filesystem", lambda _: object_store.wrapped(store))
    engine = DuckDBEngine()
    engine.mount([table("silver.p", [(1, "id", "int")], "s3://bucket/a b.parquet")])
    engine.lock()

    assert engine.rows("select sum(id) from silver.p") == [(3,)]
    with pytest.raises(QueryFailed):
        engine.rows("select * from read_parquet('s3://bucket/other.parquet')")
    engine.close()


def test_two_engines_of_one_process_do_not_see_each_other(table: Callable[..., TableVersion]) -> None:
    first, second = DuckDBEngine(), DuckDBEngine()
    first.mount([table("silver.p", [(1, "id", "int")])])

    with pytest.raises(QueryFailed):
        second.rows("select * from silver.p")
    first.close()
    second.close()


def test_a_full_spill_disk_is_named() -> None:
    engine = DuckDBEngine(EngineLimits(memory_bytes=32 << 20, threads=1))
    engine.rows("set max_temp_directory_size = '1MiB'")

    with pytest.raises(StorageFull):
        list(engine.read("select md5(range::varchar) as h from range(3000000)", order_by="h"))
    engine.close()


def test_folders_of_dead_processes_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = spill.spill_directory()
    dead = own.parent / "999999999"
    dead.mkdir()
    (dead / "left.tmp").write_bytes(b"x")

    spill.spill_directory()

    assert [folder.name for folder in own.parent.iterdir()] == [str(os.getpid())]


def test_an_engine_that_was_closed_twice_answers_no_more() -> None:
    engine = DuckDBEngine()

    engine.close()
    engine.close()

    with pytest.raises(QueryFailed, match="closed"):
        engine.rows("select 1")


@pytest.mark.parametrize("order_by", ["h", '"n"'])
def test_batches_do_not_depend_on_threads_or_memory(order_by: str) -> None:
    query = "select range as n, md5(range::varchar) as h from range(400000)"
    found = []
    for limits in (EngineLimits(memory_bytes=256 << 20, threads=1), EngineLimits(threads=3)):
        engine = DuckDBEngine(limits)
        found.append(
            [(batch.num_rows, batch.nbytes, batch[0][0].as_py()) for batch in engine.read(query, order_by=order_by)]
        )
        engine.close()

    assert found[0] == found[1]


def test_sessions_speak_utc_on_a_machine_that_does_not() -> None:
    question = "select timestamptz '2026-01-01 00:00:00' as t"
    script = f"""
from opscore.engines.duckdb import DuckDBEngine
(batch,) = DuckDBEngine().read({question!r})
print(batch.schema.field("t").type, batch.column(0).cast("int64")[0].as_py())
"""

    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TZ": "America/Lima"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout == "timestamp[us, tz=UTC] 1767225600000000\n"
