"""People's reads and actions against a real control plane, under the control room's own role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import pytest

from lakehouse.embedded.throwaway import ThrowawayPostgres
from opscore.db.executor_rpc import PostgresControlPlane
from opscore.db.people_rpc import PeopleRpc
from opscore.db.pool import Database, open_database
from opscore.domain.artifact import Artifact
from opscore.domain.bundle import bundled
from opscore.domain.check import CheckAction, CheckOutcome, CheckResult
from opscore.domain.errors import Conflict, IdempotencyConflict, InvalidInput, NotFound
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, OutcomeKind, WorkOrder
from opscore.ports.people import DEFAULT_ENVIRONMENT

SPEC = {"version": 1, "name": "books", "layer": "gold", "owner": "ana", "after": [], "caps": []}


@pytest.fixture
async def database(control_dsn: str) -> AsyncIterator[Database]:
    async with open_database(control_dsn, application="tests") as opened:
        yield opened


@pytest.fixture
async def people(postgres: ThrowawayPostgres, control_dsn: str) -> AsyncIterator[PeopleRpc]:
    name = unquote(urlsplit(control_dsn).path.removeprefix("/"))
    async with open_database(postgres.dsn(name, role="lakehouse_controlroom"), application="tests") as opened:
        yield PeopleRpc(opened)


async def applied(people: PeopleRpc, **changes: Any) -> str:
    spec = SPEC | changes
    await people.apply_pipeline(DEFAULT_ENVIRONMENT, bundled(spec, {"a.sql": "select 1"}), [Phase.PUBLISH])
    return str(spec["name"])


async def enqueued(people: PeopleRpc, pipeline: str, key: str | None = None, **params: Any) -> UUID:
    return (await people.enqueue(DEFAULT_ENVIRONMENT, pipeline, params, idempotency_key=key)).run_id


async def taken(database: Database) -> tuple[PostgresControlPlane, WorkOrder]:
    control = PostgresControlPlane(database)
    executor = await control.register_executor("worker", [], 4, "test")
    [order] = await control.claim_work(executor, 1)
    return control, order


async def listed(people: PeopleRpc, **wanted: Any) -> Any:
    return await people.runs(
        DEFAULT_ENVIRONMENT, **{"state": None, "pipeline": None, "limit": 50, "after": None, **wanted}
    )


async def test_pages_of_runs_follow_each_other_without_gap_or_repeat(people: PeopleRpc) -> None:
    name = await applied(people)
    made = [await enqueued(people, name) for _ in range(5)]

    first = await listed(people, limit=2)
    second = await listed(people, limit=2, after=first.next)
    third = await listed(people, limit=2, after=second.next)

    seen = [run["id"] for page in (first, second, third) for run in page.items]
    assert seen == [str(run_id) for run_id in reversed(made)]
    assert third.next is None


async def test_runs_are_filtered_by_state_and_pipeline(people: PeopleRpc) -> None:
    await applied(people)
    await applied(people, name="stock")
    ended, waiting = await enqueued(people, "books"), await enqueued(people, "stock")
    await people.cancel_run(ended, by="ana", reason=None)

    by_state = await listed(people, state="canceled")
    by_pipeline = await listed(people, pipeline="stock")

    assert [run["id"] for run in by_state.items] == [str(ended)]
    assert [run["id"] for run in by_pipeline.items] == [str(waiting)]


async def test_a_cursor_that_is_none_is_refused(people: PeopleRpc) -> None:
    with pytest.raises(InvalidInput, match="not a cursor"):
        await listed(people, after="yesterday")


async def test_a_run_carries_checks_tables_and_error_with_a_hint(people: PeopleRpc, database: Database) -> None:
    run_id = await enqueued(people, await applied(people), region="north")
    control, order = await taken(database)
    bad = CheckOutcome("unique", "gold.a", "id", CheckAction.FAIL, CheckResult.FAIL, "2", "0", ("7", "9"), "2 twice")
    await control.record_checks(order.lease, [bad])
    error = {"code": "GATE_BLOCKED", "message": "Gate unique blocked gold.a."}
    await control.finish([Outcome(order.lease, OutcomeKind.FAILED, error)])

    run = await people.run(run_id)

    assert (run["state"], run["params"], run["score"]) == ("failed", {"region": "north"}, None)
    assert run["error"] == error | {"hint": ""}
    assert run["checks"][0] | {"name": "unique", "sample_keys": ["7", "9"], "result": "fail"} == run["checks"][0]
    assert run["tables"] == []
    assert "lease_token" not in run


async def test_a_run_nobody_knows_is_not_found(people: PeopleRpc) -> None:
    with pytest.raises(NotFound, match="There is no run"):
        await people.run(uuid4())


async def test_an_idempotency_key_answers_the_first_run_and_refuses_other_content(people: PeopleRpc) -> None:
    name = await applied(people)
    first = await people.enqueue(DEFAULT_ENVIRONMENT, name, {"a": 1}, idempotency_key="k")

    again = await people.enqueue(DEFAULT_ENVIRONMENT, name, {"a": 1}, idempotency_key="k")

    assert (again.run_id, again.created, first.created) == (first.run_id, False, True)
    with pytest.raises(IdempotencyConflict):
        await people.enqueue(DEFAULT_ENVIRONMENT, name, {"a": 2}, idempotency_key="k")


async def test_a_canceled_run_can_be_retried_and_a_queued_one_cannot(people: PeopleRpc) -> None:
    run_id = await enqueued(people, await applied(people))
    await people.cancel_run(run_id, by="ana", reason="wrong day")

    assert await people.retry_run(run_id, by="ana") == "queued"
    with pytest.raises(Conflict, match="only failed and canceled"):
        await people.retry_run(run_id, by="ana")


async def test_events_of_a_run_are_read_from_where_the_reader_stopped(people: PeopleRpc) -> None:
    run_id = await enqueued(people, await applied(people))
    await people.cancel_run(run_id, by="ana", reason=None)

    behind_first = await people.run_events(run_id, after=1, limit=10)

    assert [(event["run_seq"], event["type"]) for event in behind_first] == [
        (2, "CANCEL_REQUESTED"),
        (3, "RUN_CANCELED"),
    ]


async def test_a_follower_of_all_events_gets_each_once(people: PeopleRpc) -> None:
    name = await applied(people)
    first = await enqueued(people, name)
    before, position = await people.latest_events(limit=10)
    second = await enqueued(people, name)

    after, end = await people.events_after(position, limit=10)
    nothing, same = await people.events_after(end, limit=10)

    assert [event["run_id"] for event in before] == [str(first)]
    assert [event["run_id"] for event in after] == [str(second)]
    assert (nothing, same) == ([], end)


async def test_the_pulse_of_a_run_changes_with_it(people: PeopleRpc) -> None:
    run_id = await enqueued(people, await applied(people))
    before = await people.pulse(DEFAULT_ENVIRONMENT, newest=10, known=[])
    await people.cancel_run(run_id, by="ana", reason=None)

    after = await people.pulse(DEFAULT_ENVIRONMENT, newest=0, known=[run_id])

    assert before[run_id] != after[run_id]


async def test_artifacts_are_listed_by_run_and_found_by_id(people: PeopleRpc, database: Database) -> None:
    run_id = await enqueued(people, await applied(people))
    control, order = await taken(database)
    kept = Artifact("result.json", "result", "file:///w/artifacts/r", "0" * 64, 12, "application/json")
    await control.register_artifacts(order.lease, [kept])

    [listed_one] = await people.artifacts(run_id)

    assert (listed_one["name"], listed_one["bytes"]) == ("result.json", 12)
    assert await people.artifact(UUID(listed_one["id"])) == listed_one


async def test_a_pipeline_shows_its_spec_and_files(people: PeopleRpc) -> None:
    name = await applied(people)

    shown = await people.pipeline(DEFAULT_ENVIRONMENT, name)

    assert (shown["layer"], shown["owner"], shown["files"]) == ("gold", "ana", ["a.sql"])
    assert shown["spec"]["name"] == name
    assert [one["name"] for one in await people.pipelines(DEFAULT_ENVIRONMENT)] == ["books", "query"]


async def test_the_same_bundle_applied_again_changes_nothing(people: PeopleRpc) -> None:
    bundle = bundled(SPEC, {})

    first = await people.apply_pipeline(DEFAULT_ENVIRONMENT, bundle, [Phase.PUBLISH])
    second = await people.apply_pipeline(DEFAULT_ENVIRONMENT, bundle, [Phase.PUBLISH])

    assert (first, second) == (True, False)


async def test_a_cap_says_how_much_is_in_use(people: PeopleRpc, database: Database) -> None:
    name = await applied(people, caps=[{"kind": "concurrency", "limit": 2}])
    await enqueued(people, name)
    await taken(database)

    [cap] = await people.caps(DEFAULT_ENVIRONMENT)

    assert (cap["kind"], cap["limit"], cap["used"], cap["held"]) == ("concurrency", 2, 1, 0)


async def test_executors_say_whether_they_are_alive(people: PeopleRpc, database: Database) -> None:
    await enqueued(people, await applied(people))
    await taken(database)

    [executor] = await people.executors()
    await database.fetchval("update ops.executors set last_seen_at = last_seen_at - interval '1 hour' returning 1")
    [later] = await people.executors()

    assert (executor["name"], executor["alive"], executor["running"]) == ("worker", True, 1)
    assert later["alive"] is False


async def test_vitals_count_open_runs(people: PeopleRpc) -> None:
    await enqueued(people, await applied(people))

    vitals = await people.vitals()

    assert vitals["open_runs"] == {"queued": 1}
    assert vitals["role"] == "lakehouse_controlroom"


async def test_a_route_is_set_and_changed_by_its_name(people: PeopleRpc) -> None:
    given = {"match": {"severity": ["error"]}, "position": 10, "go_on": True, "enabled": True}
    target = {"url": "https://hooks.example.com/a"}
    await people.set_route(DEFAULT_ENVIRONMENT, "ops", channel="webhook", target=target, **given)

    await people.set_route(DEFAULT_ENVIRONMENT, "ops", channel="slack", target=target, **given)

    [route] = await people.routes(DEFAULT_ENVIRONMENT)
    assert (route["channel"], route["match"], route["target"]) == ("slack", {"severity": ["error"]}, target)


async def test_an_alert_is_acknowledged_then_resolved(people: PeopleRpc, database: Database) -> None:
    alert_id = await database.fetchval(
        "insert into ops.alerts (environment_id, rule, dedup_key, severity, summary, created_at, updated_at)"
        " values ($1, 'run_failed', 'k', 'error', 'books failed', now(), now()) returning id",
        DEFAULT_ENVIRONMENT,
    )

    acknowledged = await people.change_alert(alert_id, "acknowledged", by="ana")
    resolved = await people.change_alert(alert_id, "resolved", by="bo")

    assert (acknowledged["state"], acknowledged["acknowledged_by"]) == ("acknowledged", "ana")
    assert (resolved["state"], resolved["acknowledged_by"]) == ("resolved", "ana")
    assert await people.alerts(DEFAULT_ENVIRONMENT, state="open", limit=10) == []


async def test_a_silence_needs_an_end(people: PeopleRpc) -> None:
    match = {"pipeline": "books"}

    made = await people.silence(DEFAULT_ENVIRONMENT, match, reason="rebuild", by="ana", length=timedelta(hours=2))

    assert isinstance(made, UUID)
    with pytest.raises(InvalidInput):
        await people.silence(DEFAULT_ENVIRONMENT, match, reason="rebuild", by="ana", length=timedelta(0))
