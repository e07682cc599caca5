"""What every engine promises behind `opscore.ports.engine`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from opscore.domain.errors import LakeUnavailable, QueryFailed
from opscore.domain.table import TableVersion
from opscore.ports.engine import Engine, ResultColumn

Table = Callable[..., TableVersion]
Write = Callable[..., str]
MONEY = pa.decimal128(38, 10)


def test_columns_are_mapped_by_field_id_across_rename_add_widen_and_drop(
    engine: Engine, write: Write, table: Table
) -> None:
    old = write(
        "old.parquet", [(1, "id", pa.int32()), (2, "nm", pa.string()), (3, "gone", pa.bool_())], [(1, "a", True)]
    )
    new = write(
        "new.parquet", [(4, "email", pa.string()), (2, "name", pa.string()), (1, "id", pa.int64())], [("e", "b", 2**40)]
    )
    engine.mount([table("silver.p", [(1, "id", "long"), (2, "name", "string"), (4, "email", "string")], old, new)])

    rows = engine.rows("select * from silver.p order by id")

    assert rows == [(1, "a", None), (2**40, "b", "e")]


def test_a_name_that_was_given_to_another_column_does_not_mix_them_up(
    engine: Engine, write: Write, table: Table
) -> None:
    old = write("old.parquet", [(1, "a", pa.string()), (2, "b", pa.string())], [("one", "two")])
    engine.mount([table("silver.p", [(1, "b", "string"), (2, "a", "string")], old)])

    assert engine.rows("select a, b from silver.p") == [("two", "one")]


def test_a_table_without_files_has_its_columns_and_no_rows(engine: Engine, table: Table) -> None:
    engine.mount([table("gold.p", [(1, "id", "int"), (2, "total", "decimal(38, 10)")])])

    reading = engine.read("select * from gold.p")

    assert reading.columns == (ResultColumn("id", "int"), ResultColumn("total", "decimal(38, 10)"))
    assert sum(batch.num_rows for batch in reading) == 0


@pytest.mark.parametrize(
    ("kind", "iceberg", "value"),
    [
        (pa.bool_(), "boolean", True),
        (pa.int32(), "int", -(2**31)),
        (pa.int64(), "long", 2**63 - 1),
        (pa.float32(), "float", 0.5),
        (pa.float64(), "double", 0.1),
        (MONEY, "decimal(38, 10)", Decimal("-1234567890123456789012345678.0123456789")),
        (pa.decimal128(9, 2), "decimal(9, 2)", Decimal("1.10")),
        (pa.date32(), "date", date(2026, 2, 28)),
        (pa.timestamp("us"), "timestamp", datetime(2026, 2, 28, 23, 59, 59, 999999)),  # noqa: DTZ001 - naive on purpose
        (pa.timestamp("us", "UTC"), "timestamptz", datetime(2026, 2, 28, 23, 59, 59, 999999, UTC)),
        (pa.string(), "string", "Größe 😀 \n'\"\x01"),
        (pa.binary(), "binary", b"\x00\xff"),
    ],
)
def test_values_of_every_type_come_back_as_they_were(
    engine: Engine, write: Write, table: Table, kind: pa.DataType, iceberg: str, value: Any
) -> None:
    file = write("one.parquet", [(1, "v", kind)], [(value,), (None,)])
    engine.mount([table("silver.p", [(1, "v", iceberg)], file)])

    reading = engine.read("select v from silver.p order by v nulls last")

    assert reading.columns == (ResultColumn("v", iceberg),)
    assert [item for batch in reading for item in batch.column(0).to_pylist()] == [value, None]


def test_times_mean_utc_whatever_the_machine_thinks(engine: Engine) -> None:
    (row,) = engine.rows("select timestamptz '2026-01-01 00:00:00' at time zone 'UTC', date '2026-01-01'::timestamptz")

    assert row[0] == datetime(2026, 1, 1)  # noqa: DTZ001 - naive on purpose
    assert row[1] == datetime(2026, 1, 1, tzinfo=UTC)


def test_sums_of_decimals_stay_exact_and_overflow_is_a_fault(engine: Engine) -> None:
    exact = engine.rows("select sum(x::decimal(38, 10)) from (values (0.1), (0.2), (-0.3)) as t(x)")

    assert exact == [(Decimal("0E-10"),)]
    with pytest.raises(QueryFailed, match="Out of Range"):
        engine.rows("select sum(9999999999999999999999999999::decimal(38, 10)) from range(2)")


def test_parameters_are_bound_by_name(engine: Engine) -> None:
    reading = engine.read("select $day as day, $text as text", {"day": date(2026, 1, 1), "text": "'; drop"})

    assert [batch.to_pylist() for batch in reading] == [[{"day": date(2026, 1, 1), "text": "'; drop"}]]
    assert [column.type for column in reading.columns] == ["date", "string"]


def test_rows_come_in_the_order_that_is_asked_for_in_batches(engine: Engine) -> None:
    reading = engine.read("select range as n from range(10000);  -- the end", order_by='"n" desc', batch_rows=2048)

    batches = list(reading)

    assert [batch.num_rows for batch in batches] == [2048, 2048, 2048, 2048, 1808]
    assert batches[0].column(0)[0].as_py() == 9999


def test_columns_are_known_without_running_the_statement(engine: Engine) -> None:
    columns = engine.columns("select 1 / 0 as a, $x as b, 'x'::int as c from range(1000000000000);", {"x": "t"})

    assert [column.name for column in columns] == ["a", "b", "c"]


def test_several_statements_can_be_read_at_once(engine: Engine) -> None:
    first, second = (iter(engine.read(f"select {number} as n from range(100000)")) for number in (1, 2))

    assert (next(first).column(0)[0].as_py(), next(second).column(0)[0].as_py()) == (1, 2)


def test_a_reading_that_is_left_early_leaves_the_engine_usable(engine: Engine) -> None:
    for batch in engine.read("select range as n from range(10000000)"):
        assert batch.num_rows
        break

    assert engine.rows("select 1") == [(1,)]


def test_a_table_mounted_again_reads_the_newer_version(engine: Engine, write: Write, table: Table) -> None:
    for value in (1, 2):
        file = write(f"{value}.parquet", [(1, "id", pa.int32())], [(value,)])
        engine.mount([table("silver.p", [(1, "id", "int")], file)])

    assert engine.rows("select id from silver.p") == [(2,)]


def test_names_with_quotes_spaces_and_keywords_are_names(engine: Engine, write: Write, table: Table) -> None:
    file = write('it\'s 100% "odd".parquet', [(1, "order", pa.int32()), (2, 'a "b"', pa.int32())], [(1, 2)])
    engine.mount([table("silver.select", [(1, "order", "int"), (2, 'a "b"', "int")], file)])

    assert engine.rows('select "order", "a ""b""" from silver."select"') == [(1, 2)]


def test_work_larger_than_memory_spills_and_ends(engine: Engine) -> None:
    reading = engine.read("select range as n, md5(range::varchar) as h from range(3000000)", order_by="h")

    assert sum(batch.num_rows for batch in reading) == 3_000_000


def test_a_missing_file_is_the_lakes_fault(engine: Engine, table: Table) -> None:
    with pytest.raises(LakeUnavailable, match="No files found"):
        engine.mount([table("silver.p", [(1, "id", "int")], "file:///nowhere/x.parquet")])


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "with a as (select 1) select * from a",
        "values (1)",
        "explain select 1",
        "describe select 1",
        "summarize select 1",
        "show tables",
        "from range(3)",
        "select 1;",
    ],
)
def test_statements_that_read_may_run(engine: Engine, sql: str) -> None:
    engine.check_readable(sql)

    assert list(engine.read(sql)) is not None


@pytest.mark.parametrize(
    "sql",
    [
        "insert into t values (1)",
        "update t set a = 1",
        "delete from t",
        "create view v as select 1",
        "drop view v",
        "copy (select 1) to '/tmp/x'",
        "attach '/tmp/x.db'",
        "install httpfs",
        "load parquet",
        "set threads = 1",
        "pragma version",
        "call pragma_version()",
        "export database '/tmp/x'",
        "vacuum",
        "begin",
        "use memory",
        "prepare p as select 1",
        "select 1; select 2",
        "",
        "-- nothing",
    ],
)
def test_statements_that_do_anything_else_may_not(engine: Engine, sql: str) -> None:
    with pytest.raises(QueryFailed):
        engine.check_readable(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('{other}')",
        "select * from read_parquet('{other}')",
        "select * from '{other}'",
        "select * from glob('/*')",
        "select * from read_csv('/proc/self/environ')",
        "copy (select 1) to '{other}'",
        "attach '{other}'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set allowed_paths = ['/']",
        "select * from secret_of_the_caller",
    ],
)
def test_a_locked_engine_reaches_nothing_but_its_tables(engine: Engine, write: Write, table: Table, sql: str) -> None:
    mine = write("mine.parquet", [(1, "id", pa.int32())], [(1,)])
    other = write("other.parquet", [(1, "id", pa.int32())], [(2,)]).removeprefix("file://")
    secret_of_the_caller = pa.table({"a": [1]})  # engines must not look into Python's variables
    engine.mount([table("silver.p", [(1, "id", "int")], mine)])
    engine.lock()

    with pytest.raises(QueryFailed):
        list(engine.read(sql.format(other=other)))

    assert secret_of_the_caller.num_rows == 1
    assert engine.rows("select id from silver.p") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "line", "column"),
    [
        ("select foo from silver.p", 1, 8),
        ("select id,\n  ünknown from silver.p", 2, 3),
        ("select 'ü', foo from silver.p", 1, 13),
        ("select *\nfrom silver.q", 2, 6),
        ("select case when range > 2000 then 'x'::int end as n from range(5000)", 1, 39),
    ],
)
def test_faults_say_where_in_the_statement(engine: Engine, table: Table, sql: str, line: int, column: int) -> None:
    engine.mount([table("silver.p", [(1, "id", "int")])])

    for order_by in (None, "1"):
        with pytest.raises(QueryFailed) as refused:
            list(engine.read(sql, order_by=order_by))

        assert (refused.value.facts["line"], refused.value.facts["column"]) == (line, column)


def test_a_syntax_fault_says_where(engine: Engine) -> None:
    with pytest.raises(QueryFailed, match=r'syntax error at or near "selec" \(line 2, column 2\)'):
        engine.check_readable("\n selec 1")


def test_a_running_statement_is_canceled_from_another_thread(engine: Engine) -> None:
    """A cancel that comes before the statement has begun may be lost, so it is said until it is heard."""
    ended = threading.Event()

    def cancel() -> None:
        while not ended.wait(0.02):
            engine.cancel()

    canceling = threading.Thread(target=cancel)
    canceling.start()
    try:
        with pytest.raises(QueryFailed):
            engine.rows("with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) from n")
    finally:
        ended.set()
        canceling.join()

    assert engine.rows("select 1") == [(1,)]


def test_statements_are_counted(engine: Engine) -> None:
    engine.rows("select 1")
    list(engine.read("select 2"))

    assert engine.statements == 2
