"""A warehouse that is gone is named as such, not as a missing table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from opscore.domain.errors import NotFound, WarehouseMissing
from opscore.lake.catalog import LakeCatalog
from opscore.lake.options import LakeOptions
from opscore.lake.storage import init_warehouse

SCHEMA = pa.schema([pa.field("id", pa.int32())])


@pytest.fixture
def options(control_dsn: str, tmp_path: Path) -> LakeOptions:
    made = LakeOptions(dsn=control_dsn, warehouse=f"file://{tmp_path / 'warehouse'}")
    init_warehouse(made)
    return made


def staged_location(options: LakeOptions) -> str:
    lake = LakeCatalog(options)
    writer = lake.writer("gold.a", SCHEMA, run_id="r", part="p")
    writer.write(pa.table({"id": pa.array([1], pa.int32())}))
    return lake.stage_replace("gold.a", SCHEMA, writer.close(), run_id="r", properties={}).metadata_location


def test_reading_from_a_warehouse_that_is_gone_says_so(options: LakeOptions, tmp_path: Path) -> None:
    location = staged_location(options)
    shutil.rmtree(tmp_path / "warehouse")

    with pytest.raises(WarehouseMissing, match="is not there"):
        LakeCatalog(options).open("gold.a", location)


def test_a_file_that_is_gone_is_only_that(options: LakeOptions) -> None:
    location = staged_location(options)
    Path(location.removeprefix("file://")).unlink()

    with pytest.raises(NotFound):
        LakeCatalog(options).open("gold.a", location)


def test_a_warehouse_that_cannot_be_made_is_named(control_dsn: str) -> None:
    with pytest.raises(WarehouseMissing, match="/proc/nope"):
        init_warehouse(LakeOptions(dsn=control_dsn, warehouse="file:///proc/nope"))
