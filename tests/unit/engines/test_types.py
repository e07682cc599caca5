from __future__ import annotations

import pyarrow as pa
import pytest

from opscore.domain.errors import QueryFailed
from opscore.engines.types import duckdb_type, iceberg_type


@pytest.mark.parametrize(
    ("arrow", "name"),
    [
        (pa.bool_(), "boolean"),
        (pa.int8(), "int"),
        (pa.uint16(), "int"),
        (pa.uint32(), "long"),
        (pa.int64(), "long"),
        (pa.uint64(), "decimal(20, 0)"),
        (pa.float32(), "float"),
        (pa.float64(), "double"),
        (pa.decimal128(38, 10), "decimal(38, 10)"),
        (pa.date32(), "date"),
        (pa.time64("us"), "time"),
        (pa.timestamp("us"), "timestamp"),
        (pa.timestamp("us", "UTC"), "timestamptz"),
        (pa.large_string(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), "string"),
        (pa.month_day_nano_interval(), "string"),
        (pa.binary(), "binary"),
        (pa.list_(pa.int32()), "list<int>"),
        (pa.map_(pa.string(), pa.int64()), "map<string, long>"),
        (pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]), "struct<a: int, b: list<string>>"),
    ],
)
def test_arrow_types_have_icebergs_names(arrow: pa.DataType, name: str) -> None:
    assert iceberg_type(arrow) == name


@pytest.mark.parametrize(
    ("iceberg", "duckdb"),
    [
        ("decimal(38, 10)", "DECIMAL(38,10)"),
        ("timestamptz", "TIMESTAMPTZ"),
        ("fixed[16]", "BLOB"),
        ("string", "VARCHAR"),
    ],
)
def test_iceberg_types_have_duckdbs_names(iceberg: str, duckdb: str) -> None:
    assert duckdb_type(iceberg) == duckdb


def test_a_type_without_a_place_is_refused_by_name() -> None:
    with pytest.raises(QueryFailed, match="variant"):
        duckdb_type("variant")
