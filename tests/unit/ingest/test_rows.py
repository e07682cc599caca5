"""CSV from a source becomes Arrow exactly, or an error that names the row."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse_executor.sources.rows import RowParser, read_rows, unhexed
from lakehouse_executor.sources.tables import SourceColumn, SourceTable
from opscore.domain.errors import StorageFull, UnsupportedValue

MONEY = pa.decimal128(38, 10)
COLUMNS = (
    SourceColumn("id", 1, "integer", "int4", "N"),
    SourceColumn("amount", 2, "numeric", "numeric", "N"),
    SourceColumn("note", 3, "text", "text", "S"),
)
TABLE = SourceTable("public", "t", "t", "ops", partitioned=False, pages=1, bytes=8192, columns=COLUMNS, key=("id",))
SCHEMA = pa.schema([("id", pa.int32()), ("amount", MONEY), ("note", pa.string())])


def parse(block: bytes) -> list[dict[str, Any]]:
    return RowParser(TABLE, SCHEMA, trusted=True).parse(block).to_pylist()


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**28) + 1, max_value=10**28 - 1))
def test_every_number_with_room_arrives_exactly(amount: Decimal) -> None:
    assert parse(f"1,{amount:f},\n".encode())[0]["amount"] == amount


@given(st.integers(min_value=10**28, max_value=10**60), st.sampled_from(["", "-"]))
def test_no_number_without_room_wraps_around(amount: int, sign: str) -> None:
    with pytest.raises(UnsupportedValue, match="row id=2"):
        parse(f"1,1.5,\n2,{sign}{amount},\n".encode())


def test_long_digits_in_a_text_are_no_fault() -> None:
    assert parse(b'1,1.5,"00000000000000000000000000000000000000"\n')[0]["amount"] == Decimal("1.5")


@given(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"))), min_size=1))
def test_texts_and_nulls_survive_the_csv_of_postgres(texts: list[str | None]) -> None:
    lines = ["1,," + ("" if text is None else '"' + text.replace('"', '""') + '"') for text in texts]

    assert [row["note"] for row in parse(("\n".join(lines) + "\n").encode())] == texts


def test_the_first_bad_row_is_named_by_its_key() -> None:
    with pytest.raises(UnsupportedValue, match=r"Column amount of source table t holds NaN.*row id=7"):
        parse(b"6,1,\n7,NaN,\n8,NaN,\n")


def test_text_that_is_not_utf8_is_refused_where_the_server_does_not_check() -> None:
    with pytest.raises(UnsupportedValue, match="note"):
        RowParser(TABLE, SCHEMA, trusted=False).parse(b"1,1,ok\n2,1,\xff\n")


@given(st.lists(st.one_of(st.none(), st.binary(max_size=20)), min_size=1), st.integers(0, 5))
def test_hex_becomes_bytes(values: list[bytes | None], skipped: int) -> None:
    texts = pa.array([None if value is None else "\\x" + value.hex() for value in values], pa.string())

    assert unhexed(texts.slice(skipped)).to_pylist() == values[skipped:]


class Scripted:
    """A source session that sends what it is told to."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = messages

    async def fetch(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        raise NotImplementedError

    async def copy(self, _: str, sink: Any) -> None:
        for message in self.messages:
            await sink(message)


async def test_blocks_keep_the_order_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse_executor.sources.rows.BLOCK_BYTES", 20)
    messages = [f"{number},1,\n".encode() for number in range(100)]
    seen: list[int] = []

    def take(batch: pa.RecordBatch) -> None:
        seen.extend(batch.column("id").to_pylist())

    await read_rows(Scripted(*messages), "", RowParser(TABLE, SCHEMA, trusted=True), take)

    assert seen == list(range(100))


async def test_a_fault_of_the_taker_ends_the_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse_executor.sources.rows.BLOCK_BYTES", 1)

    def take(_: pa.RecordBatch) -> None:
        raise StorageFull(where="here")

    with pytest.raises(StorageFull):
        await read_rows(Scripted(b"1,1,\n", b"2,1,\n"), "", RowParser(TABLE, SCHEMA, trusted=True), take)
