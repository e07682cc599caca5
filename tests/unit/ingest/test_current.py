"""Comparing candidates with a log's rows in force."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from lakehouse_executor.sources.current import CurrentRows, gone

LOG = pa.schema([("id", pa.int32()), ("v", pa.float64()), ("_op", pa.string()), ("_seq", pa.int64())])
ROWS = pa.schema([("id", pa.int64()), ("v", pa.float64())])


def current(*entries: tuple[int, float | None, str, int]) -> CurrentRows:
    rows = [dict(zip(LOG.names, entry, strict=True)) for entry in entries]
    return CurrentRows(ds.dataset(pa.Table.from_pylist(rows, schema=LOG)), ["id"])


def rows(*pairs: tuple[int, float | None]) -> pa.Table:
    return pa.Table.from_pylist([{"id": key, "v": value} for key, value in pairs], schema=ROWS)


def differing(log: CurrentRows, table: pa.Table) -> tuple[list[int], list[int]]:
    hashes = pa.array(range(100, 100 + table.num_rows), pa.int64())
    found, new = log.differing(table, hashes)
    return found.column("id").to_pylist(), new.to_pylist()


def test_rows_as_the_log_has_them_are_dropped() -> None:
    log = current((1, 1.0, "r", 0), (2, None, "r", 1), (3, float("nan"), "r", 2))

    assert differing(log, rows((1, 1.0), (2, None), (3, float("nan")))) == ([], [])


def test_changed_rows_and_new_keys_are_kept_in_order() -> None:
    log = current((1, 1.0, "r", 0), (2, 2.0, "r", 1), (4, 4.0, "r", 2))

    assert differing(log, rows((1, 1.0), (2, None), (3, 3.0), (4, 5.0))) == ([2, 3, 4], [102])


def test_the_entry_with_the_highest_sequence_number_counts() -> None:
    log = current((1, 9.0, "u", 7), (1, 1.0, "r", 0))

    assert differing(log, rows((1, 9.0))) == ([], [])
    assert differing(log, rows((1, 1.0))) == ([1], [])


def test_a_key_that_is_gone_counts_as_new() -> None:
    log = current((1, 1.0, "r", 0), (1, None, "d", 1))

    assert differing(log, rows((1, 1.0))) == ([1], [100])


def test_a_column_the_log_lacks_differs_where_it_has_a_value() -> None:
    log = current((1, 1.0, "r", 0), (2, 1.0, "r", 1))
    schema = pa.schema([*ROWS, ("x", pa.string())])
    table = pa.Table.from_pylist([{"id": 1, "v": 1.0, "x": None}, {"id": 2, "v": 1.0, "x": "a"}], schema=schema)

    assert differing(log, table) == ([2], [])


def test_an_empty_log_makes_every_row_new() -> None:
    assert differing(current(), rows((1, 1.0), (2, 2.0))) == ([1, 2], [100, 101])
    assert current().highest_seq() == -1


def test_gone_keys_come_in_key_order() -> None:
    log = current((3, 1.0, "r", 0), (1, 1.0, "r", 1), (2, 1.0, "r", 2), (5, None, "d", 3))
    now: Any = pa.table({"id": pa.array([2], pa.int64())})

    assert gone(log.keys(), now, ["id"]).column("id").to_pylist() == [1, 3]
