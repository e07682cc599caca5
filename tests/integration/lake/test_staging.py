"""Staged versions: complete for whoever knows their metadata file, invisible to everybody else."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opscore.domain.errors import ControlPlaneUnavailable, NotFound, SchemaDrift, WarehouseMissing
from opscore.domain.table import StagedTable, WrittenFile
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions

Publish = Callable[[StagedTable], Awaitable[None]]
MONEY = pa.decimal128(38, 10)
SCHEMA = pa.schema([("id", pa.int32()), ("name", pa.string()), ("amount", MONEY)])
WIDER = pa.schema([("id", pa.int64()), ("name", pa.string()), ("amount", MONEY), ("note", pa.string())])


def write(
    lake: LakeCatalog, name: str, rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA
) -> tuple[WrittenFile, ...]:
    writer = lake.writer(name, schema, run_id="run", part="0")
    writer.write(pa.Table.from_pylist(rows, schema=schema))
    return writer.close()


def append(lake: LakeCatalog, name: str, rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> StagedTable:
    return lake.stage_append(name, schema, write(lake, name, rows, schema), run_id="run", properties={})


def all_there(uris: Iterable[str]) -> bool:
    return all(Path(uri.removeprefix("file://")).exists() for uri in uris)


def rows_of(lake: LakeCatalog, staged: StagedTable) -> list[dict[str, Any]]:
    version = lake.open(staged.name, staged.metadata_location)
    return sorted(lake.dataset(version).to_table().to_pylist(), key=lambda row: row["id"])


def test_a_staged_table_is_read_by_its_metadata_file_and_seen_by_nobody(lake: LakeCatalog) -> None:
    staged = append(lake, "bronze.t", [{"id": 1, "name": "a", "amount": Decimal("1.5")}])

    assert rows_of(lake, staged) == [{"id": 1, "name": "a", "amount": Decimal("1.5000000000")}]
    assert (staged.base_location, staged.rows, staged.rows_added) == (None, 1, 1)
    assert lake.published() == {}


async def test_staging_a_second_version_leaves_the_published_one_as_it_is(lake: LakeCatalog, publish: Publish) -> None:
    first = append(lake, "bronze.t", [{"id": 1}])
    await publish(first)

    second = append(lake, "bronze.t", [{"id": 2}])

    assert second.base_location == first.metadata_location
    assert (second.rows, second.rows_added, second.files) == (2, 1, 2)
    assert lake.version("bronze.t").rows == 1
    assert lake.published("bronze") == {"bronze.t": first.metadata_location}


async def test_old_metadata_survives_many_stagings_of_which_none_is_published(
    lake: LakeCatalog, publish: Publish
) -> None:
    published = append(lake, "bronze.t", [{"id": 0}])
    for number in range(1, 23):  # more than the previous versions that a table keeps
        await publish(published)
        published = append(lake, "bronze.t", [{"id": number}])

    assert lake.open("bronze.t", published.base_location or "").rows == 22
    assert all_there(lake.version("bronze.t").files)
    history = lake._catalog.at(("bronze", "t"), published.base_location or "").metadata.metadata_log
    assert all_there(entry.metadata_file for entry in history)


async def test_new_columns_and_wider_types_keep_field_ids_and_old_rows(lake: LakeCatalog, publish: Publish) -> None:
    await publish(append(lake, "bronze.t", [{"id": 1, "name": "a"}]))

    staged = append(lake, "bronze.t", [{"id": 2**40, "note": "new"}], WIDER)

    columns = lake.open("bronze.t", staged.metadata_location).columns
    assert [(c.field_id, c.name, c.type) for c in columns] == [
        (1, "id", "long"),
        (2, "name", "string"),
        (3, "amount", "decimal(38, 10)"),
        (4, "note", "string"),
    ]
    assert [row["note"] for row in rows_of(lake, staged)] == [None, "new"]


async def test_a_batch_without_a_known_column_writes_nulls_into_it(lake: LakeCatalog, publish: Publish) -> None:
    await publish(append(lake, "bronze.t", [{"id": 1, "name": "a"}]))

    staged = append(lake, "bronze.t", [{"id": 2}], pa.schema([("id", pa.int32())]))

    assert [row["name"] for row in rows_of(lake, staged)] == ["a", None]


@pytest.mark.parametrize("changed", [pa.string(), pa.decimal128(38, 4), pa.float64()])
async def test_a_type_that_does_not_widen_is_refused(lake: LakeCatalog, publish: Publish, changed: pa.DataType) -> None:
    await publish(append(lake, "bronze.t", [{"id": 1}]))

    with pytest.raises(SchemaDrift, match="amount"):
        lake.writer("bronze.t", pa.schema([("id", pa.int32()), ("amount", changed)]), run_id="run", part="0")


async def test_replacing_leaves_exactly_the_new_files_and_keeps_the_past(lake: LakeCatalog, publish: Publish) -> None:
    await publish(append(lake, "silver.t", [{"id": 1}, {"id": 2}]))
    before = lake.version("silver.t")
    files = write(lake, "silver.t", [{"id": 3}])

    await publish(lake.stage_replace("silver.t", SCHEMA, files, run_id="run", properties={}))

    assert [row["id"] for row in lake.dataset(lake.version("silver.t")).to_table().to_pylist()] == [3]
    assert lake.version("silver.t", as_of=before.snapshot_id).files == before.files
    assert lake.version("silver.t", as_of=datetime.now(UTC) + timedelta(days=1)).rows == 1


async def test_a_table_without_rows_can_be_staged_and_replaced_by_none(lake: LakeCatalog, publish: Publish) -> None:
    empty = lake.stage_append("bronze.t", SCHEMA, write(lake, "bronze.t", []), run_id="run", properties={})
    await publish(empty)

    again = lake.stage_replace("bronze.t", SCHEMA, (), run_id="run", properties={})

    assert (empty.files, empty.rows, again.rows) == (0, 0, 0)
    assert lake.dataset(lake.version("bronze.t")).to_table().num_rows == 0


def test_files_are_hashed_and_carry_the_tables_field_ids(lake: LakeCatalog) -> None:
    (file,) = write(lake, "bronze.t", [{"id": 1, "name": "a"}])

    path = Path(file.path.removeprefix("file://"))
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.bytes == path.stat().st_size
    assert [f.metadata[b"PARQUET:field_id"] for f in pq.read_schema(path)] == [b"1", b"2", b"3"]


def test_two_writers_of_one_part_never_share_a_file(lake: LakeCatalog) -> None:
    first = write(lake, "bronze.t", [{"id": 1}])
    second = write(lake, "bronze.t", [{"id": 1}])

    assert first[0].path != second[0].path


def test_discarding_a_staged_table_leaves_no_file_of_it(lake: LakeCatalog, tmp_path: Path) -> None:
    staged = append(lake, "bronze.t", [{"id": 1}])

    lake.discard([staged])
    lake.discard([staged])

    assert [path for path in (tmp_path / "warehouse/bronze").rglob("*") if path.is_file()] == []


async def test_discarding_keeps_the_published_version_whole(lake: LakeCatalog, publish: Publish) -> None:
    await publish(append(lake, "bronze.t", [{"id": 1}]))

    lake.discard([append(lake, "bronze.t", [{"id": 2}])])

    assert lake.dataset(lake.version("bronze.t")).to_table().num_rows == 1


def test_an_aborted_writer_leaves_no_file(lake: LakeCatalog, tmp_path: Path) -> None:
    writer = lake.writer("bronze.t", SCHEMA, run_id="run", part="0")
    writer.write(pa.Table.from_pylist([{"id": n} for n in range(200_000)], schema=SCHEMA))

    writer.abort()

    assert [path for path in (tmp_path / "warehouse/bronze").rglob("*") if path.is_file()] == []


async def test_a_pinned_lake_builds_on_the_state_it_was_given(lake: LakeCatalog, publish: Publish) -> None:
    first = append(lake, "bronze.t", [{"id": 1}])
    await publish(first)
    pinned = lake.at(lake.published())
    await publish(append(lake, "bronze.t", [{"id": 2}]))

    late = append(pinned, "bronze.t", [{"id": 3}])

    assert late.base_location == first.metadata_location


async def test_facts_stand_on_the_table_and_the_run_in_the_snapshot(lake: LakeCatalog) -> None:
    properties = {"lakehouse.key": "id", "lsn": "42"}
    staged = lake.stage_append("bronze.t", SCHEMA, (), run_id="run-7", properties=properties)

    version = lake.open("bronze.t", staged.metadata_location)
    snapshot = lake._catalog.at(("bronze", "t"), staged.metadata_location).current_snapshot()
    assert version.properties["lakehouse.key"] == "id"
    assert "lsn" not in version.properties
    assert snapshot is not None
    assert snapshot.summary is not None
    assert (snapshot.summary["run_id"], snapshot.summary["lsn"]) == ("run-7", "42")


def test_an_unmarked_warehouse_is_refused_before_anything_is_written(options: LakeOptions, tmp_path: Path) -> None:
    lake = LakeCatalog(LakeOptions(dsn=options.dsn, warehouse=f"file://{tmp_path}/elsewhere"))

    with pytest.raises(WarehouseMissing, match="elsewhere"):
        lake.stage_append("bronze.t", SCHEMA, (), run_id="run", properties={})
    assert not (tmp_path / "elsewhere").exists()


def test_an_unknown_table_is_not_found(lake: LakeCatalog) -> None:
    with pytest.raises(NotFound, match=r"bronze\.nothing"):
        lake.version("bronze.nothing")
    with pytest.raises(NotFound):
        lake.open("bronze.nothing", f"{lake.options.warehouse}/bronze/nothing/metadata/0.metadata.json")


def test_a_catalog_that_does_not_answer_is_a_control_plane_fault(options: LakeOptions) -> None:
    lake = LakeCatalog(LakeOptions(dsn="postgresql://nobody:hidden@127.0.0.1:1/none", warehouse=options.warehouse))

    with pytest.raises(ControlPlaneUnavailable) as caught:
        lake.published()

    assert "hidden" not in str(caught.value)
