"""What may enter the queue, and what a repeated request gets."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from support.plane import ENVIRONMENT, Plane, somebody_waits


async def test_a_repeated_idempotency_key_answers_the_first_run(plane: Plane) -> None:
    first = await plane.enqueue(idempotency_key="k")

    again = await plane.db.fetchrow("select * from ops.enqueue_run($1, 'query', '{}'::jsonb, 'k')", ENVIRONMENT)

    assert (again["run_id"], again["created"]) == (first, False)
    assert await plane.db.fetchval("select count(*) from ops.runs") == 1


async def test_the_same_key_with_other_content_is_refused_naming_the_difference(plane: Plane) -> None:
    await plane.enqueue(idempotency_key="k", params={"a": 1})

    with pytest.raises(asyncpg.PostgresError, match="params were") as refused:
        await plane.enqueue(idempotency_key="k", params={"a": 2})

    assert (refused.value.sqlstate, refused.value.detail) == ("PT409", "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ({"pipeline": "query"}, {"pipeline": "other"}, "pipeline was query, is other"),
        ({"params": {"a": 1, "b": 2}}, {"params": {"a": 1, "b": 3}}, "params were {.*2.*}, are {.*3.*}"),
        ({"labels": ["a"]}, {"labels": ["b"]}, "labels were {a}, are {b}"),
        ({"priority": 1}, {"priority": 2}, "priority was 1, is 2"),
        ({"estimate": {"rows": 1}}, {"estimate": {"rows": 2}}, "estimate was {.*1}, is {.*2}"),
    ],
    ids=["pipeline", "params", "labels", "priority", "estimate"],
)
async def test_the_difference_is_named_whatever_it_is(
    plane: Plane, first: dict[str, Any], second: dict[str, Any], difference: str
) -> None:
    await plane.pipeline("other")
    await plane.enqueue(**{"pipeline": "query", "idempotency_key": "k"} | first)

    with pytest.raises(asyncpg.PostgresError, match=difference):
        await plane.enqueue(**{"pipeline": "query", "idempotency_key": "k"} | second)

    assert await plane.db.fetchval("select count(*) from ops.runs") == 1


async def test_an_unknown_pipeline_is_refused_and_nothing_of_the_batch_enters(plane: Plane) -> None:
    offered = [{"environment_id": ENVIRONMENT, "pipeline": name} for name in ("query", "nope")]

    with pytest.raises(asyncpg.PostgresError, match="there is no pipeline 'nope'"):
        await plane.db.fetch("select * from ops.enqueue_runs($1)", offered)

    assert await plane.db.fetchval("select count(*) from ops.runs") == 0


@pytest.mark.parametrize("size", [1_000_001, 10_000_000])
async def test_parameters_have_a_ceiling(plane: Plane, size: int) -> None:
    with pytest.raises(asyncpg.PostgresError, match="1000000 are allowed"):
        await plane.enqueue(params={"a": "x" * size})

    assert await plane.db.fetchval("select count(*) from ops.runs") == 0


async def test_a_run_pins_the_bundle_it_was_enqueued_with(plane: Plane) -> None:
    await plane.pipeline("p", owner="first")
    run = await plane.enqueue("p")
    before = (await plane.run(run))["bundle"]

    await plane.pipeline("p", owner="second")

    newest = await plane.db.fetchval("select bundle from ops.pipelines where name = 'p'")
    assert (await plane.run(run))["bundle"] == before
    assert newest != before


async def test_applying_the_same_bundle_again_changes_nothing(plane: Plane) -> None:
    await plane.pipeline("p")
    await plane.pipeline("p")

    assert await plane.db.fetchval("select count(*) from ops.pipeline_versions where name = 'p'") == 1


async def test_two_callers_with_one_key_at_once_get_the_same_run(plane: Plane) -> None:
    other = await asyncpg.connect(plane.dsn)
    transaction = other.transaction()
    await transaction.start()
    first = await other.fetchval("select run_id from ops.enqueue_run($1, 'query', '{}'::jsonb, 'k')", ENVIRONMENT)
    waiting = asyncio.create_task(plane.enqueue(idempotency_key="k"))
    await somebody_waits(other)

    await transaction.commit()
    second = await waiting

    assert second == first
    await other.close()


async def test_one_key_twice_in_one_batch_is_one_run(plane: Plane) -> None:
    one = {"environment_id": ENVIRONMENT, "pipeline": "query", "idempotency_key": "k"}

    rows = await plane.db.fetch("select run_id, created from ops.enqueue_runs($1)", [one, one])

    assert rows[0]["run_id"] == rows[1]["run_id"]
    assert [row["created"] for row in rows] == [True, False]


async def test_a_run_due_at_infinity_is_refused(plane: Plane) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="due_times_are_finite"):
        await plane.enqueue(due_at="infinity")
