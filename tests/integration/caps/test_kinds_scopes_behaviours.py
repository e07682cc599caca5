"""Every kind of cap, in every scope, does what its behaviour says when it is full."""

from __future__ import annotations

import uuid
from itertools import product

import asyncpg
import pytest

from support.caps import CapPlane
from support.plane import ENVIRONMENT

METERED = ("rows", "bytes", "queries", "compute_seconds", "cost")
KINDS = ("concurrency", "runs", *METERED)
SUBJECTS = {
    "organization": None, "project": None, "environment": None,
    "pipeline": "p", "table": "gold.orders", "executor": "e1", "label": "team:sales",
}  # fmt: skip
EVERYWHERE = [scope for scope in SUBJECTS if scope != "executor"]


async def capped(plane: CapPlane, kind: str, scope: str, **rest: object) -> None:
    """A pipeline, and a cap that one of its runs fills."""
    spec = {"labels": ["team:sales"], "estimate": dict.fromkeys(METERED, 10)}
    await plane.apply(ENVIRONMENT, "p", writes=["gold.orders"], **spec)
    subject = {} if SUBJECTS[scope] is None else {"subject": SUBJECTS[scope]}
    await plane.set_cap(kind, 10 if kind in METERED else 1, scope=scope, **subject, **rest)


@pytest.mark.parametrize(("kind", "scope"), list(product(KINDS, SUBJECTS)))
async def test_hold_lets_a_run_wait_until_there_is_room(plane: CapPlane, kind: str, scope: str) -> None:
    await capped(plane, kind, scope)
    first, second = await plane.enqueue("p"), await plane.enqueue("p")

    taken = await plane.take()
    reason = await plane.reason(second)
    again = await plane.take()

    assert ([work.run_id for work in taken], again) == ([first], [])
    assert reason is not None
    assert (reason["why"], reason["cap"], reason["position"]) == ("cap", "c", 1)
    assert reason["holders"] == [str(first)]
    assert await plane.state(second) == ("queued" if scope == "executor" else "held")


@pytest.mark.parametrize(("kind", "scope"), list(product(KINDS, EVERYWHERE)))
async def test_reject_refuses_what_does_not_fit_and_keeps_nothing_of_it(plane: CapPlane, kind: str, scope: str) -> None:
    await capped(plane, kind, scope, behaviour="reject")
    await plane.enqueue("p")

    with pytest.raises(asyncpg.PostgresError, match="cap c is full") as refused:
        await plane.enqueue("p")

    assert (refused.value.sqlstate, refused.value.detail) == ("PT429", "CAP_EXCEEDED")
    assert await plane.db.fetchval("select count(*) from ops.runs") == 1


@pytest.mark.parametrize(("kind", "scope"), list(product(KINDS, EVERYWHERE)))
async def test_cancel_newest_ends_the_run_that_meets_the_full_cap(plane: CapPlane, kind: str, scope: str) -> None:
    await capped(plane, kind, scope, behaviour="cancel_newest")
    first, second = await plane.enqueue("p"), await plane.enqueue("p")

    await plane.take()

    assert (await plane.state(first), await plane.state(second)) == ("running", "canceled")
    assert (await plane.run(first))["cancel_requested_at"] is None


@pytest.mark.parametrize("scope", EVERYWHERE)
async def test_cancel_oldest_asks_the_oldest_run_to_make_room(plane: CapPlane, scope: str) -> None:
    await capped(plane, "concurrency", scope, behaviour="cancel_oldest")
    first, second = await plane.enqueue("p"), await plane.enqueue("p")

    (work,) = await plane.take()
    await plane.take()
    verdict = await plane.beat(work)
    await plane.finish(work, "canceled")
    (next_work,) = await plane.take()

    assert (work.run_id, verdict, next_work.run_id) == (first, "cancel", second)
    assert (await plane.events(first)).count("CANCEL_REQUESTED") == 1


@pytest.mark.parametrize(("kind", "scope"), list(product(KINDS[1:], EVERYWHERE)))
async def test_under_a_window_cancel_oldest_keeps_the_newest_of_those_that_wait(
    plane: CapPlane, kind: str, scope: str
) -> None:
    await capped(plane, kind, scope, behaviour="cancel_oldest")
    running, older, newest = [await plane.enqueue("p") for _ in range(3)]

    await plane.take()
    await plane.take()

    assert [await plane.state(run) for run in (running, older, newest)] == ["running", "canceled", "held"]
    assert (await plane.run(running))["cancel_requested_at"] is None


@pytest.mark.parametrize("scope", SUBJECTS)
async def test_a_full_cap_leaves_alone_what_it_is_not_about(plane: CapPlane, scope: str) -> None:
    await capped(plane, "concurrency", scope)
    stranger = await plane.elsewhere()
    await plane.enqueue("p")
    await plane.take()

    (other,) = await plane.enqueue_many(stranger, 1)
    taken = await plane.take(name="e2")

    assert [work.run_id for work in taken] == [other]


@pytest.mark.parametrize(("scope", "shared"), [("organization", True), ("project", False), ("environment", False)])
async def test_a_cap_of_an_organization_counts_all_its_projects(plane: CapPlane, scope: str, shared: bool) -> None:  # noqa: FBT001
    await capped(plane, "concurrency", scope)
    sibling = await plane.elsewhere(organization=False)
    await plane.enqueue("p")
    await plane.take()

    await plane.enqueue_many(sibling, 1)

    assert (await plane.take() == []) is shared


async def test_caps_on_a_table_follow_what_pipelines_write(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", writes=["silver.*"])
    await plane.set_cap(limit=0, scope="table", subject="silver.res_partner")
    run = await plane.enqueue("p")
    while_it_writes = await plane.take()

    await plane.apply(ENVIRONMENT, "p", writes=["gold.orders"])

    assert while_it_writes == []
    assert [work.run_id for work in await plane.take()] == [run]


async def test_a_label_on_the_run_alone_counts_too(plane: CapPlane) -> None:
    await plane.pipeline("p")
    await plane.set_cap(limit=0, scope="label", subject="backfill")
    labelled, plain = await plane.enqueue("p", labels=["backfill"]), await plane.enqueue("p")

    taken = await plane.take()

    assert [work.run_id for work in taken] == [plain]
    assert await plane.state(labelled) == "held"


async def test_an_executor_under_a_cap_gets_no_more_from_the_dispatcher_either(plane: CapPlane) -> None:
    await plane.apply(ENVIRONMENT, "p", estimate={"rows": 6})
    await plane.set_cap("rows", 10, scope="executor", subject="small")
    small, large = await plane.executor("small"), await plane.executor("large", slots=2)
    await plane.enqueue_many(ENVIRONMENT, 5)

    rows = await plane.db.fetch("select executor_id from ops.lease_runs(10)")
    got = [row["executor_id"] for row in rows]

    assert (got.count(small), got.count(large)) == (1, 2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "rowz"}, "no kind of cap"),
        ({"scope": "planet"}, "no scope"),
        ({"scope": "label"}, "must say which"),
        ({"subject": "p"}, "names nothing"),
        ({"scope": "pipeline", "subject": "nobody"}, "no pipeline"),
        ({"limit": "NaN"}, "the limit is NaN"),
        ({"limit": -1}, "the limit is -1"),
        ({"limit": None}, "the limit is missing"),
        ({"window_seconds": 60}, "has no window"),
        ({"kind": "rows", "window_seconds": None}, "needs a window"),
        ({"kind": "rows", "window_seconds": 0}, "a window of 0 seconds"),
        ({"kind": "rows", "window_seconds": 99999999999}, "a window of 99999999999 seconds"),
        ({"behaviour": "explode"}, "nothing a cap can do"),
        ({"max_waiting": -1}, "runs that may wait"),
        ({"name": "spec:p:runs"}, "no name for a cap"),
        ({"name": ""}, "no name for a cap"),
        ({"scope": "executor", "subject": "e1", "behaviour": "reject"}, "can only hold work back"),
    ],
)
async def test_what_is_no_cap_is_refused_with_what_is_allowed(
    plane: CapPlane, wrong: dict[str, object], says: str
) -> None:
    with pytest.raises(asyncpg.PostgresError, match=says) as refused:
        await plane.set_cap(**{"kind": "concurrency", "limit": 1} | wrong)  # type: ignore[arg-type]

    assert refused.value.detail in {"INVALID_INPUT", "NOT_FOUND"}
    assert refused.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"estimate": {"rows": -5}},
        {"estimate": {"rows": "NaN"}},
        {"estimate": {"rows": "many"}},
        {"estimate": {"cpu": 1}},
        {"estimate": [1]},
        {"labels": "team"},
        {"labels": ["Team Sales"]},
        {"labels": [1]},
        {"labels": [f"l{n}" for n in range(17)]},
    ],
)
async def test_amounts_and_labels_that_are_none_are_refused(plane: CapPlane, wrong: dict[str, object]) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await plane.enqueue(**wrong)

    assert (refused.value.sqlstate, refused.value.detail) == ("PT400", "INVALID_INPUT")


async def test_a_cap_of_an_unknown_name_is_not_removed(plane: CapPlane) -> None:
    assert await plane.db.fetchval("select ops.remove_cap($1, 'nobody')", uuid.uuid4()) is False


async def test_a_cap_that_a_spec_names_is_removed_there(plane: CapPlane) -> None:
    await plane.pipeline("p", caps=[{"kind": "concurrency", "limit": 1}])

    with pytest.raises(asyncpg.PostgresError, match="stands in its pipeline's spec"):
        await plane.db.fetchval("select ops.remove_cap($1, 'spec:p:concurrency')", ENVIRONMENT)
