"""Parquet files as the lake writes them (field ids in the schema), and every engine there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opscore.domain.table import Column, TableVersion
from opscore.engines.duckdb import DuckDBEngine
from opscore.ports.engine import Engine, EngineLimits

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows to a file: (field id, name, type) for each column. Returns its address."""

    def to(name: str, fields: Sequence[tuple[int, str, pa.DataType]], rows: Sequence[tuple[Any, ...]]) -> str:
        schema = pa.schema(
            [pa.field(column, kind, metadata={"PARQUET:field_id": str(at)}) for at, column, kind in fields]
        )
        arrays = [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(schema)]
        pq.write_table(pa.table(arrays, schema=schema), tmp_path / name)
        return f"file://{tmp_path}/{name}"

    return to


def version(name: str, columns: Sequence[tuple[int, str, str]], *files: str) -> TableVersion:
    return TableVersion(
        name=name,
        metadata_location="",
        snapshot_id=1,
        columns=tuple(Column(at, column, kind) for at, column, kind in columns),
        files=files,
        rows=0,
        bytes=0,
    )


@pytest.fixture
def table() -> Callable[..., TableVersion]:
    """A table version over files."""
    return version


@pytest.fixture(params=["duckdb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An empty engine; the suite's promises hold for each."""
    opened = {"duckdb": DuckDBEngine}[request.param](EngineLimits(memory_bytes=128 << 20, threads=2))
    yield opened
    opened.close()
