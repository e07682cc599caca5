"""How Arrow types become Iceberg types, and which changes a published schema takes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from opscore.domain.errors import SchemaDrift
from opscore.lake.schemas import columns_of, evolved, file_schema, iceberg_schema, schema_hash
from opscore.lake.staging_catalog import psycopg2_url


def test_arrow_types_survive_the_way_to_iceberg_and_back() -> None:
    kinds = [pa.bool_(), pa.int32(), pa.int64(), pa.float64(), pa.date32(), pa.string(), pa.binary()]
    kinds += [pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.decimal128(38, 10), pa.time64("us")]
    schema = pa.schema([(f"c{number}", kind) for number, kind in enumerate(kinds)])

    assert file_schema(iceberg_schema(schema)).types == kinds


def test_an_arrow_type_without_a_place_is_named() -> None:
    with pytest.raises(ValueError, match="uint64"):
        iceberg_schema(pa.schema([("c", pa.uint64())]))


def test_dropped_columns_stay_and_new_ones_come_last() -> None:
    before = iceberg_schema(pa.schema([("id", pa.int32()), ("old", pa.string())]))

    after = evolved("t", before, pa.schema([("new", pa.string()), ("id", pa.int32())]), last_column_id=7)

    assert [(c.field_id, c.name) for c in columns_of(after)] == [(1, "id"), (2, "old"), (8, "new")]


def test_a_narrower_type_is_taken_as_the_wide_one() -> None:
    before = iceberg_schema(pa.schema([("id", pa.int64()), ("d", pa.decimal128(20, 2))]))

    after = evolved("t", before, pa.schema([("id", pa.int32()), ("d", pa.decimal128(18, 2))]), last_column_id=2)

    assert schema_hash(after) == schema_hash(before)


def test_a_changed_decimal_scale_is_refused() -> None:
    before = iceberg_schema(pa.schema([("d", pa.decimal128(18, 4))]))

    with pytest.raises(SchemaDrift, match=r"decimal\(18, 4\)"):
        evolved("t", before, pa.schema([("d", pa.decimal128(38, 10))]), last_column_id=1)


def test_an_address_keeps_its_parts_for_the_catalogs_driver() -> None:
    url = psycopg2_url("postgres://user:p%40ss@host:5433/db?sslmode=require")

    assert url == "postgresql+psycopg2://user:p%40ss@host:5433/db?sslmode=require"
