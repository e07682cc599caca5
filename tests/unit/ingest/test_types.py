"""Which type carries a source column."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse_executor.sources.tables import SourceColumn, SourceTable
from lakehouse_executor.sources.types import arrow_type, lake_schema, same_kind
from opscore.domain.errors import SchemaDrift, UnsupportedType

TABLE = SourceTable("public", "t", "t", "ops", partitioned=False, pages=1, bytes=1, columns=(), key=("id",))


def column(kind: str, base: str, category: str = "N") -> SourceColumn:
    return SourceColumn("c", 1, kind, base, category)


def settled(now: SourceColumn, frozen: pa.DataType) -> pa.DataType:
    table = SourceTable("public", "t", "t", "ops", partitioned=False, pages=1, bytes=1, columns=(now,), key=("c",))
    return lake_schema(table, {"c": frozen}, {}).field("c").type


@pytest.mark.parametrize(
    ("kind", "base", "category", "expected"),
    [
        ("smallint", "int2", "N", pa.int32()),
        ("numeric", "numeric", "N", pa.decimal128(38, 10)),
        ("numeric(16,2)", "numeric", "N", pa.decimal128(16, 2)),
        ("numeric(60,2)", "numeric", "N", pa.decimal128(38, 10)),
        ("numeric(5,-2)", "numeric", "N", pa.decimal128(38, 10)),
        ("time without time zone", "time", "D", pa.string()),
        ("uuid", "uuid", "U", pa.string()),
        ("integer[]", "_int4", "A", pa.string()),
        ("mood", "mood", "E", pa.string()),
        ("daterange", "daterange", "R", pa.string()),
        ("inet", "inet", "I", pa.string()),
        ("interval", "interval", "T", pa.string()),
    ],
)
def test_known_types_have_their_place(kind: str, base: str, category: str, expected: pa.DataType) -> None:
    assert arrow_type(TABLE, column(kind, base, category)) == expected


@pytest.mark.parametrize(("kind", "category"), [("point", "G"), ("tsvector", "U"), ("money", "N"), ("hstore", "U")])
def test_unforeseen_types_are_named(kind: str, category: str) -> None:
    with pytest.raises(UnsupportedType, match=kind):
        arrow_type(TABLE, column(kind, kind, category))


def test_a_frozen_scale_stays() -> None:
    assert settled(column("numeric", "numeric"), pa.decimal128(38, 19)) == pa.decimal128(38, 19)


def test_a_wide_type_stays_when_the_source_narrows_and_grows_when_it_widens() -> None:
    assert settled(column("integer", "int4"), pa.int64()) == pa.int64()
    assert settled(column("bigint", "int8"), pa.int32()) == pa.int64()
    assert settled(column("numeric(18,2)", "numeric"), pa.decimal128(16, 2)) == pa.decimal128(18, 2)


@pytest.mark.parametrize(
    ("now", "frozen"),
    [
        (column("numeric(16,4)", "numeric"), pa.decimal128(16, 2)),
        (column("text", "text", "S"), pa.int32()),
        (column("date", "date", "D"), pa.timestamp("us")),
    ],
)
def test_other_changes_are_refused(now: SourceColumn, frozen: pa.DataType) -> None:
    with pytest.raises(SchemaDrift):
        settled(now, frozen)


def test_kinds_of_text_are_one_kind_and_documents_another() -> None:
    assert same_kind("varchar", "text")
    assert same_kind("json", "jsonb")
    assert not same_kind("varchar", "jsonb")
