"""How a table is brought up to date, and how work is cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from lakehouse_executor.phases.ingest_plan import Counted, Mode, intend, parts, settle, units
from lakehouse_executor.sources.extract import Action, TableTask
from lakehouse_executor.sources.memory import Memory
from lakehouse_executor.sources.queries import changed_since
from lakehouse_executor.sources.tables import SourceColumn, SourceTable
from opscore.ports.source import SourceMoment

COLUMNS = (
    SourceColumn("id", 1, "integer", "int4", "N"),
    SourceColumn("write_date", 2, "timestamp without time zone", "timestamp", "D"),
)
TABLE = SourceTable("public", "t", "t", "ops", partitioned=False, pages=10, bytes=81920, columns=COLUMNS, key=("id",))
MOMENT = SourceMoment(
    "s", "1000:1010:1002", 1, datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00", "7", 5, "UTF8", "r"
)
MEMORY = Memory.of(TABLE, replace(MOMENT, visible="900:910:"), rows=3, key_hash=33, next_seq=3, location="b")


def action(**changes: Any) -> Action:
    given: dict[str, Any] = {"base": "b", "memory": MEMORY, "moment": MOMENT, "mode": Mode.INCREMENTAL}
    return intend(TABLE, **(given | changes)).action


def task(**changes: Any) -> TableTask:
    return replace(TableTask(TABLE, Action.LOAD, None, rows=3, hash=33), **changes)


def test_a_remembered_table_takes_its_changes() -> None:
    assert action() is Action.DELTA


def test_a_table_the_lake_lacks_is_loaded_whatever_is_remembered() -> None:
    assert action(base=None) is Action.LOAD


def test_a_full_reload_is_a_snapshot() -> None:
    assert action(mode=Mode.SNAPSHOT) is Action.SNAPSHOT


@pytest.mark.parametrize(
    "changes",
    [
        {"memory": None},
        {"base": "published by another pipeline"},
        {"memory": replace(MEMORY, location=None)},
        {"memory": replace(MEMORY, system="8")},
        {"memory": replace(MEMORY, database=6)},
        {"memory": replace(MEMORY, xmax=1011)},  # the server was set back
        {"moment": replace(MOMENT, visible=f"{1 << 32}:{1 << 32}:")},  # too far to compare 32-bit ids
        {"memory": replace(MEMORY, columns={"id": (1, "integer", "int4")})},
    ],
)
def test_what_cannot_be_trusted_is_compared_whole(changes: dict[str, Any]) -> None:
    assert action(**changes) is Action.RESYNC


def test_equal_counts_hashes_and_no_candidate_mean_nothing_to_do() -> None:
    intent = intend(TABLE, "b", MEMORY, MOMENT, Mode.INCREMENTAL)

    assert settle(intent, Counted(3, 33, 0)) is None
    assert [settle(intent, Counted(*counted)) is None for counted in ((4, 33, 0), (3, 34, 0), (3, 33, 1))] == [
        False
    ] * 3


@pytest.mark.parametrize("mode", Mode)
def test_numbers_go_on_after_the_log_when_the_memory_is_of_another_version(mode: Mode) -> None:
    settled = settle(intend(TABLE, "another", MEMORY, MOMENT, mode), Counted(3, 33, 0))

    assert settled is not None
    assert (settled.seq, settled.before_rows) == (None, None)


def test_memory_survives_its_json() -> None:
    assert Memory.from_json(MEMORY.as_json()) == MEMORY


def test_old_transaction_ids_are_asked_modulo_the_counter() -> None:
    assert "'5'::xid" in changed_since(TABLE, (7 << 32) + 5, "2026-01-01")
    assert "'3'::xid" in changed_since(TABLE, 7 << 32, "2026-01-01")


def test_ranges_cover_the_heap_and_the_last_has_no_end() -> None:
    big = task(table=replace(TABLE, pages=100, bytes=1 << 30), seq=5)

    ranges = parts(big, workers=2)

    assert [part.pages for part in ranges] == [(0, 17), (17, 34), (34, 51), (51, 68), (68, 85), (85, None)]
    assert [part.seq for part in ranges] == [5 + number * 2**32 for number in range(6)]


def test_a_table_with_an_empty_heap_is_one_range() -> None:
    assert [part.pages for part in parts(task(table=replace(TABLE, pages=0)), workers=2)] == [(0, None)]


def test_units_are_bounded_by_size_and_number() -> None:
    named = [replace(TABLE, name=f"t{number:03}", bytes=(40 << 20) if number == 0 else 8192) for number in range(60)]

    packed = units(task(table=table) for table in named)

    assert [len(unit) for unit in packed] == [1, 24, 24, 11]
