from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from opscore.domain.errors import QueryFailed

if TYPE_CHECKING:
    from conftest import LakeBench

NAMED = pa.schema([("id", pa.int32()), ("name", pa.string())])


async def test_a_statement_answers_with_columns_rows_and_counts(bench: LakeBench) -> None:
    await bench.table("gold.p", NAMED, [(1, "Ada"), (2, None)])

    document = await bench.query("select * from gold.p order by id desc")

    assert document == {
        "columns": [{"name": "id", "type": "int"}, {"name": "name", "type": "string"}],
        "rows": [[2, None], [1, "Ada"]],
        "row_count": 2,
        "truncated": False,
    }
    assert [(artifact.name, artifact.kind) for artifact in bench.memory.artifacts] == [("result.json", "result")]


async def test_a_limit_cuts_the_rows_and_says_so(bench: LakeBench) -> None:
    document = await bench.query("select range as n from range(5)", limit=3)

    assert (document["rows"], document["row_count"], document["truncated"]) == ([[0], [1], [2]], 3, True)


async def test_a_limit_that_is_just_met_cuts_nothing(bench: LakeBench) -> None:
    document = await bench.query("select range as n from range(3)", limit=3)

    assert (document["row_count"], document["truncated"]) == (3, False)


async def test_a_thousand_rows_are_returned_unless_asked_otherwise(bench: LakeBench) -> None:
    document = await bench.query("select range as n from range(20000)")

    assert (document["row_count"], document["truncated"]) == (1000, True)


async def test_the_catalogs_name_may_stand_before_the_layer(bench: LakeBench) -> None:
    await bench.table("gold.p", NAMED, [(1, "Ada")])

    document = await bench.query('select count(*) as n from lakehouse.gold.p as a, "gold"."p" as b')

    assert document["rows"] == [[1]]


async def test_an_older_version_is_read_by_snapshot_time_or_table(bench: LakeBench) -> None:
    await bench.table("gold.p", NAMED, [(1, "old")])
    first = bench.lake.version("gold.p").snapshot_id
    between = datetime.now(UTC)
    await bench.table("gold.p", NAMED, [(1, "new")])
    await bench.table("gold.q", NAMED, [(1, "q")])

    async def names(as_of: str | None, sql: str = "select name from gold.p") -> Any:
        return (await bench.query(sql, as_of=as_of))["rows"]

    assert await names(None) == [["new"]]
    assert await names(str(first)) == [["old"]]
    assert await names(between.isoformat()) == [["old"]]
    both = "select p.name || q.name from gold.p, gold.q"
    assert await names(f"gold.p={first}", both) == [["oldq"]]


@pytest.mark.parametrize(
    ("as_of", "fault"),
    [
        ("12", "There is no version of gold.p at 12"),
        ("2020-01-01", "There is no version of gold.p at 2020-01-01 00:00:00+00:00"),
        ("yesterday", "as-of is yesterday, which is neither a time"),
        ("gold.q=12", "as-of names gold.q, which the statement does not read"),
        ("gold.p=soon", "as-of is soon"),
    ],
)
async def test_a_version_that_cannot_be_meant_is_refused(bench: LakeBench, as_of: str, fault: str) -> None:
    await bench.table("gold.p", NAMED, [(1, "Ada")])

    with pytest.raises(QueryFailed) as refused:
        await bench.query("select * from gold.p", as_of=as_of)

    assert fault in refused.value.message


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        (
            "select nam from gold.p",
            'column "nam" not found in FROM clause! Candidate bindings: "name" (line 1, column 8)',
        ),
        ("select *\nfrom gold.p\nwhere", 'syntax error at or near "where" (line 3, column 1)'),
        ("select * from gold.pp", "There is no table gold.pp: did you mean gold.p?"),
        ("select * from p", "There is no table p: did you mean gold.p?"),
        ("select * from gold.zebra_count", "There is no table gold.zebra_count."),
        ("select 1; select 2", "One statement is run at a time; this text holds 2"),
        ("", "There is no statement to run"),
        ("create table x as select 1", "CREATE statements are not run here"),
        ("copy gold.p to '/tmp/p.csv'", "COPY statements are not run here"),
        ("set memory_limit = '1TB'", "SET statements are not run here"),
        ("select * from '/etc/passwd'", "/etc/passwd does not exist"),
        ("select * from read_csv('/etc/passwd')", "file system operations are disabled"),
        ("select * from glob('/*')", "file system operations are disabled"),
        ("attach '/tmp/x.db'", "ATTACH statements are not run here"),
        ("select date '290000-01-01' as d", "Column d holds a value that cannot be shown"),
    ],
)
async def test_a_statement_that_cannot_be_answered_is_refused_with_the_reason(
    bench: LakeBench, sql: str, fault: str
) -> None:
    await bench.table("gold.p", NAMED, [(1, "Ada")])

    with pytest.raises(QueryFailed) as refused:
        await bench.query(sql)

    assert fault in refused.value.message


@pytest.mark.parametrize("limit", [0, -1, 100_001, "many", True])
async def test_a_limit_that_makes_no_sense_is_refused(bench: LakeBench, limit: Any) -> None:
    with pytest.raises(QueryFailed, match="it must be a whole number from 1 to 100,000"):
        await bench.query("select 1", limit=limit)


async def test_another_engine_is_refused(bench: LakeBench) -> None:
    with pytest.raises(QueryFailed, match="runs statements on duckdb, not on trino"):
        await bench.query("select 1", engine="trino")


async def test_other_tables_files_are_out_of_reach(bench: LakeBench) -> None:
    await bench.table("gold.p", NAMED, [(1, "Ada")])
    await bench.table("gold.secret", NAMED, [(1, "salary")])
    (file,) = bench.lake.version("gold.secret").files
    path = file.removeprefix("file://")

    with pytest.raises(QueryFailed, match="file system operations are disabled"):
        await bench.query(f"select * from gold.p, read_parquet('{path}')")
