from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from lakehouse_executor.phases.validate import validate
from opscore.domain.check import CheckOutcome, CheckResult
from opscore.domain.errors import GateBlocked

if TYPE_CHECKING:
    from conftest import LakeBench

MONEY = pa.decimal128(38, 10)
NAMED = pa.schema([("id", pa.int32()), ("name", pa.string())])
LINES = pa.schema([("id", pa.int32()), ("move_id", pa.int32()), ("debit", MONEY), ("credit", MONEY)])


async def judged(bench: LakeBench, rule: dict[str, Any], *tables: Any, **more: Any) -> CheckOutcome:
    """The one outcome of a rule over staged tables, whether it blocks or not."""
    staged = {"tables": list(tables), **more}
    with suppress(GateBlocked):
        await bench.validate(rule, staged=staged)
    (outcome,) = bench.memory.checks
    return outcome


async def test_a_blocked_gate_leaves_its_outcomes_and_an_artifact_behind(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(1, None), (2, "b")])
    rule = {"check": "null_share", "dataset": "silver.p", "column": "name", "max": "0.25"}

    with pytest.raises(GateBlocked, match=r"Gate null_share blocked the publish of silver\.p: 1 of 2 rows"):
        await bench.validate(rule, staged={"tables": [table]})

    (outcome,) = bench.memory.checks
    (artifact,) = bench.memory.artifacts
    kept = json.loads(bench.artifacts.get(artifact.uri))
    assert (artifact.name, artifact.kind) == ("checks.json", "checks")
    assert kept == {"checks": [outcome.as_json()]}


async def test_a_check_that_warns_lets_the_run_go_on(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(1, None)])
    rule = {"check": "null_share", "dataset": "silver.p", "column": "name", "action": "warn"}

    result = await bench.validate(rule, staged={"tables": [table]})

    assert result["checks"] == {"pass": 0, "warn": 1, "fail": 0, "error": 0}


async def test_a_null_share_is_exact_and_names_the_rows(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(number, None if number < 8 else "x") for number in range(24)])

    outcome = await judged(bench, {"check": "null_share", "dataset": "silver.p", "column": "name", "max": "0.3"}, table)

    assert outcome.result is CheckResult.FAIL
    assert (outcome.value, outcome.threshold) == ("0.333333333333333333", "0.3")
    assert outcome.sample_keys == ('{"id":0}', '{"id":1}', '{"id":2}', '{"id":3}', '{"id":4}')
    assert outcome.message == '8 of 24 rows of silver.p have no name (first: {"id":0})'


async def test_a_null_share_at_its_limit_passes(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(1, None), (2, "x"), (3, "x"), (4, "x")])

    outcome = await judged(
        bench, {"check": "null_share", "dataset": "silver.p", "column": "name", "max": "0.25"}, table
    )

    assert (outcome.result, outcome.value, outcome.sample_keys) == (CheckResult.PASS, "0.25", ())


async def test_an_empty_table_has_no_nulls(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [])

    outcome = await judged(bench, {"check": "null_share", "dataset": "silver.p", "column": "name"}, table)

    assert (outcome.result, outcome.value) == (CheckResult.PASS, "0")


async def test_a_key_in_two_rows_fails_with_the_key(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(1, "a"), (2, "b"), (2, "c"), (None, "d"), (None, "e")])

    outcome = await judged(bench, {"check": "unique_key", "dataset": "silver.p"}, table)

    assert (outcome.result, outcome.value) == (CheckResult.FAIL, "2")
    assert outcome.sample_keys == ('{"id":2}', '{"id":null}')
    assert outcome.message == '2 keys of silver.p stand in more than one row (first: {"id":2})'


async def test_other_columns_can_be_the_key(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(1, "a"), (2, "a")])

    outcome = await judged(bench, {"check": "unique_key", "dataset": "silver.p", "columns": ["name"]}, table)

    assert outcome.sample_keys == ('{"name":"a"}',)


async def test_a_log_is_judged_by_its_rows_in_force(bench: LakeBench) -> None:
    await bench.log("p", NAMED, [("r", 0, 1, "a"), ("r", 1, 2, None), ("r", 2, 3, None)])
    table = await bench.log("p", NAMED, [("u", 3, 1, "b"), ("d", 4, 2, None)], run="second")
    rules: list[dict[str, Any]] = [
        {"check": "row_count", "dataset": "bronze.*"},
        {"check": "unique_key", "dataset": "bronze.*"},
        {"check": "null_share", "dataset": "bronze.p", "column": "name", "action": "warn"},
    ]
    staged = {"tables": [table], "counts": {"bronze.p": {"source_rows": 2}}}

    await bench.validate(*rules, staged=staged)

    assert [outcome.value for outcome in bench.memory.checks] == ["2", "0", "0.5"]
    assert bench.memory.checks[0].result is CheckResult.PASS


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "bronze.p has 2 rows, its source 3: 1 missing"),
        (1, "bronze.p has 2 rows, its source 1: 1 too many"),
    ],
)
async def test_a_row_more_or_less_than_the_source_fails(bench: LakeBench, source: int, message: str) -> None:
    table = await bench.log("p", NAMED, [("r", 0, 1, "a"), ("r", 1, 2, "b")])
    rule = {"check": "row_count", "dataset": "bronze.p"}

    outcome = await judged(bench, rule, table, counts={"bronze.p": {"source_rows": source}})

    assert (outcome.result, outcome.value, outcome.threshold) == (CheckResult.FAIL, "2", str(source))
    assert outcome.message == message


async def test_an_entry_that_a_load_doubled_is_found(bench: LakeBench) -> None:
    table = await bench.log("p", NAMED, [("r", 0, 1, "a"), ("r", 1, 1, "a")])

    outcome = await judged(bench, {"check": "unique_key", "dataset": "bronze.p"}, table)

    assert (outcome.result, outcome.sample_keys) == (CheckResult.FAIL, ('{"id":1}',))


async def test_a_value_that_refers_to_nothing_is_found(bench: LakeBench) -> None:
    await bench.table("silver.move", NAMED, [(1, "INV/1"), (None, "odd")])
    rows = [(1, 1, None, None), (2, 9, None, None), (3, None, None, None)]
    table = await bench.table("silver.line", LINES, rows)
    rule = {"check": "referential", "dataset": "silver.line", "column": "move_id", "references": "silver.move.id"}

    outcome = await judged(bench, rule, table)

    assert (outcome.result, outcome.value, outcome.sample_keys) == (CheckResult.FAIL, "1", ('{"id":2}',))
    assert outcome.message == (
        '1 of 3 rows of silver.line have a move_id that is not in silver.move.id (first: {"id":2})'
    )


async def test_references_are_checked_again_when_only_the_other_side_moved(bench: LakeBench) -> None:
    await bench.table("silver.line", LINES, [(1, 1, None, None)])
    moves = await bench.table("silver.move", NAMED, [(2, "INV/2")])
    rule = {"check": "referential", "dataset": "silver.line", "column": "move_id", "references": "silver.move.id"}

    outcome = await judged(bench, rule, moves)

    assert (outcome.dataset, outcome.result) == ("silver.line", CheckResult.FAIL)


async def test_a_reference_to_a_table_that_is_not_there_is_an_error_that_blocks(bench: LakeBench) -> None:
    table = await bench.table("silver.line", LINES, [(1, 1, None, None)])
    rule = {"check": "referential", "dataset": "silver.line", "column": "move_id", "references": "silver.move.id"}

    with pytest.raises(GateBlocked, match=r"could not be evaluated: silver\.move is not in the lake"):
        await bench.validate(rule, staged={"tables": [table]})

    assert bench.memory.checks[0].result is CheckResult.ERROR


async def test_other_values_than_the_accepted_are_named(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(1, "draft"), (2, "odd"), (3, None)])
    rule = {"check": "accepted_values", "dataset": "silver.p", "column": "name", "values": ["draft", "it's"]}

    outcome = await judged(bench, rule, table)

    assert (outcome.result, outcome.value) == (CheckResult.FAIL, "1")
    assert outcome.message == (
        "1 of 3 rows of silver.p have a name other than draft, it's, such as 'odd' (first: {\"id\":2})"
    )


async def test_entries_that_do_not_balance_are_named_with_the_amount(bench: LakeBench) -> None:
    rows = [
        (1, 1, Decimal("0.1"), None),
        (2, 1, Decimal("0.2"), None),
        (3, 1, None, Decimal("0.3")),
        (4, 7, Decimal(5), Decimal(0)),
        (5, 7, Decimal(0), Decimal("4.99")),
    ]
    table = await bench.table("silver.line", LINES, rows)
    rule = {"check": "balanced_entries", "dataset": "silver.line", "group_by": "move_id"}

    outcome = await judged(bench, rule, table)

    assert (outcome.result, outcome.value, outcome.sample_keys) == (CheckResult.FAIL, "1", ('{"move_id":7}',))
    assert outcome.message == (
        "1 of 2 entries of silver.line by move_id does not balance (first: move_id 7, off by 0.01)"
    )


async def test_only_rows_that_count_must_balance_and_a_tolerance_is_kept(bench: LakeBench) -> None:
    rows = [(1, 1, Decimal(5), Decimal(0)), (2, 2, Decimal("0.01"), Decimal(0))]
    table = await bench.table("silver.line", LINES, rows)
    rule = {
        "check": "balanced_entries",
        "dataset": "silver.line",
        "group_by": "move_id",
        "where": "move_id > 1",
        "tolerance": "0.01",
    }

    outcome = await judged(bench, rule, table)

    assert outcome.result is CheckResult.PASS


async def test_rows_that_a_query_returns_are_bad(bench: LakeBench) -> None:
    table = await bench.table("silver.line", LINES, [(1, 1, Decimal("1.50"), None), (2, 2, None, None)])
    await bench.table("silver.move", NAMED, [(1, "INV/1")])
    sql = "select line.id, line.debit from silver.line join silver.move on move.id = line.move_id"

    outcome = await judged(
        bench, {"check": "custom_sql", "name": "no_lines", "dataset": "silver.line", "sql": sql}, table
    )

    assert (outcome.name, outcome.result, outcome.value) == ("no_lines", CheckResult.FAIL, "1")
    assert outcome.sample_keys == ('{"id":1,"debit":"1.5000000000"}',)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select * from silver.none", "none"),
        ("select * from read_text('/etc/passwd')", "file system operations are disabled"),
        ("drop table silver.p", "DROP statements are not run here"),
        ("select $day", "$day, which is not a parameter"),
        ("select", "SELECT clause without selection list"),
    ],
)
async def test_a_query_that_cannot_be_run_is_an_error(bench: LakeBench, sql: str, reason: str) -> None:
    table = await bench.table("silver.p", NAMED, [(1, "a")])

    outcome = await judged(bench, {"check": "custom_sql", "name": "odd", "dataset": "silver.p", "sql": sql}, table)

    assert outcome.result is CheckResult.ERROR
    assert reason in outcome.message


async def test_checks_see_the_staged_version_and_not_the_published_one(bench: LakeBench) -> None:
    await bench.log("p", NAMED, [("r", 0, 1, "a")])
    await bench.publish(await bench.silver())
    await bench.log("p", NAMED, [("u", 1, 1, None)], run="second")
    staged = await bench.silver()

    outcome = await judged(bench, {"check": "null_share", "dataset": "silver.p", "column": "name"}, *staged["tables"])

    assert outcome.result is CheckResult.FAIL
    assert bench.rows("silver.p") == [{"id": 1, "name": "a"}]


async def test_tables_that_the_run_did_not_touch_are_not_checked_by_rules_that_held_before(bench: LakeBench) -> None:
    rule = {"check": "null_share", "dataset": "silver.*", "column": "name"}
    await settle(bench, rule)
    await bench.table("silver.bad", NAMED, [(1, None)])
    table = await bench.table("silver.good", NAMED, [(1, "a")])

    outcome = await judged(bench, rule, table)

    assert (outcome.dataset, outcome.result) == ("silver.good", CheckResult.PASS)


async def test_a_rule_that_is_new_is_held_against_tables_that_did_not_change(bench: LakeBench) -> None:
    rule = {"check": "null_share", "dataset": "silver.*", "column": "name"}
    await settle(bench, rule)
    await bench.table("silver.p", NAMED, [(1, None)])
    stricter = rule | {"max": "0.5"}

    with pytest.raises(GateBlocked, match=r"silver\.p"):
        await validate(bench.context({"validations": [stricter]}, {}, {}))


async def settle(bench: LakeBench, rule: dict[str, Any]) -> None:
    """A run of these checks that was published."""
    result = await validate(bench.context({"validations": [rule]}, {}, {}))
    bench.memory.states.update(result["states"])


async def test_a_column_that_is_not_there_is_an_error(bench: LakeBench) -> None:
    table = await bench.table("silver.p", NAMED, [(1, "a")])

    outcome = await judged(bench, {"check": "null_share", "dataset": "silver.p", "column": "nam"}, table)

    assert (outcome.result, outcome.value) == (CheckResult.ERROR, None)
    assert outcome.message == "the check could not be evaluated: silver.p has no column nam"


async def test_silver_counts_as_many_rows_as_its_log_has_keys(bench: LakeBench) -> None:
    await bench.log("p", NAMED, [("r", 0, 1, "a"), ("r", 1, 2, "b")])
    await bench.log("p", NAMED, [("d", 2, 1, None)], run="second")
    staged = await bench.silver()

    await bench.validate({"check": "row_count", "dataset": "silver.*"}, staged=staged)

    (outcome,) = bench.memory.checks
    assert (outcome.value, outcome.threshold) == ("1", "1")


async def test_columns_lost_at_the_source_are_a_warning(bench: LakeBench) -> None:
    table = await bench.log("p", NAMED, [("r", 0, 1, "a")])
    drift = [
        {"table": "bronze.p", "column": "ref", "change": "dropped", "before": "text", "after": None},
        {"table": "bronze.p", "column": "a", "change": "renamed", "before": "a", "after": "b"},
        {"table": "bronze.p", "column": "c", "change": "added", "before": None, "after": "text"},
        {"table": "bronze.other", "column": None, "change": "gone", "before": None, "after": None},
    ]

    outcome = await judged(bench, {"check": "drift", "dataset": "bronze.p"}, table, drift=drift)

    assert (outcome.result, outcome.value) == (CheckResult.WARN, "0")
    assert outcome.message == "0 columns of bronze.p changed type (ref is gone; a is now called b)"


async def test_a_run_that_staged_nothing_has_nothing_to_check(bench: LakeBench) -> None:
    rule = {"check": "null_share", "dataset": "silver.*", "column": "name"}
    await settle(bench, rule)
    await bench.table("silver.p", NAMED, [(1, None)])

    result = await validate(bench.context({"validations": [rule]}, {}, {}))

    assert result["checks"] == {"pass": 0, "warn": 0, "fail": 0, "error": 0}
    assert bench.memory.artifacts == []
