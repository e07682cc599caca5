"""Dispatcher and executor as real processes: runs flow, survive kills, stops and silence, and are canceled for real."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from uuid import UUID, uuid4

import anyio
import httpx
import pytest

from support.services import DEADLINE, Process, Services, file_written

LEASE_MS = 3000
BEGUN = ["RUN_CREATED", "PHASE_CLAIMED", "PHASE_STARTED"]
SCAN_S = 60  # so rarely does the dispatcher look unasked: what happens much sooner was brought about by the lease's end


async def test_a_run_flows_through_both_processes_and_they_say_they_are_well(services: Services) -> None:
    dispatcher, executor = await services.dispatcher(), await services.executor()

    run_id = await services.enqueue()
    await services.until(run_id, now="succeeded")

    assert await services.events(run_id) == [
        "RUN_CREATED",
        "PHASE_CLAIMED",
        "PHASE_STARTED",
        "PHASE_SUCCEEDED",
        "RUN_SUCCEEDED",
    ]
    async with httpx.AsyncClient(trust_env=False) as client:
        for process in (dispatcher, executor):
            port = int(process.health_file.read_text())
            answer = await client.get(f"http://127.0.0.1:{port}/health")
            assert answer.json()["components"]["database"]["healthy"]


async def test_an_executor_alone_helps_itself(services: Services) -> None:
    run_id = await services.enqueue()

    await services.executor(LAKEHOUSE_EXECUTOR_CLAIM_AFTER_S="0.2")

    assert (await services.until(run_id, now="succeeded"))["attempt"] == 1


async def test_sigterm_lets_the_running_run_end_and_exits_with_zero(services: Services, tmp_path: Path) -> None:
    executor = await services.executor()
    run_id = await services.enqueue(json.dumps({"sleep": 2, "begun": str(tmp_path / "begun")}))
    await file_written(tmp_path / "begun")

    executor.signal(signal.SIGTERM)

    assert await executor.ended() == 0
    assert (await services.run(run_id))["now"] == "succeeded"


async def test_the_second_sigterm_gives_the_running_run_back_at_once(services: Services, tmp_path: Path) -> None:
    executor = await services.executor()
    run_id = await services.enqueue(json.dumps({"sleep": 600, "begun": str(tmp_path / "begun")}))
    await file_written(tmp_path / "begun")
    executor.signal(signal.SIGTERM)
    await said(executor.log, "service drains")

    executor.signal(signal.SIGTERM)

    assert await executor.ended() == 0
    row = await services.run(run_id)
    assert (row["now"], row["interruptions"], row["failures"]) == ("queued", 1, 0)


async def test_a_killed_executors_run_goes_on_elsewhere_within_one_and_a_half_leases(services: Services) -> None:
    run_id, holder, _ = await held_by_one_of_two(services, '{"sleep": 4}')
    (before,) = await services.sql("select clock_timestamp() as at")

    holder.signal(signal.SIGKILL)
    row = await services.until(run_id, now="succeeded")

    (begun,) = await services.sql(
        "select at from ops.run_events where run_id = $1 and attempt = 2 and type = 'PHASE_STARTED'", run_id
    )
    assert (begun["at"] - before["at"]).total_seconds() <= 1.5 * LEASE_MS / 1000
    assert (row["attempt"], row["losses"], row["failures"]) == (2, 1, 0)


async def test_a_frozen_executor_that_thaws_changes_nothing(services: Services) -> None:
    run_id, holder, _ = await held_by_one_of_two(services, '{"sleep": 4}')
    holder.signal(signal.SIGSTOP)
    await services.until(run_id, now="succeeded")
    before = await services.events(run_id)

    holder.signal(signal.SIGCONT)
    await said(holder.log, "lease lost", "write refused")

    row = await services.run(run_id)
    assert (row["now"], row["attempt"]) == ("succeeded", 2)
    after = await services.events(run_id)
    assert after[: len(before)] == before
    assert set(after[len(before) :]) <= {"WRITE_REFUSED"}


async def test_forged_rings_start_nothing_twice_and_stop_nothing(services: Services, tmp_path: Path) -> None:
    await services.dispatcher()
    await services.executor()
    first = await services.enqueue(json.dumps({"sleep": 1, "begun": str(tmp_path / "begun")}))
    await file_written(tmp_path / "begun")
    (known,) = await services.sql("select id, session from ops.executors")
    payloads = ["", "no id", "{", "\N{SNOWMAN}" * 2000, str(uuid4()), str(known["id"]), str(known["session"])]

    for payload in payloads * 20:
        for channel in ("lakehouse_work", "lakehouse_executor", "lakehouse_feed"):
            await services.sql("select pg_notify($1, $2)", channel, payload)
    second = await services.enqueue(json.dumps({"sleep": 0}))

    for run_id in (first, second):
        await services.until(run_id, now="succeeded")
        told = [event for event in await services.events(run_id) if event != "PHASE_PROGRESS"]
        assert told == [*BEGUN, "PHASE_SUCCEEDED", "RUN_SUCCEEDED"]


async def test_a_cancel_ends_the_worker_process(services: Services, tmp_path: Path) -> None:
    await services.executor()
    pid_file = tmp_path / "pid"
    run_id = await services.enqueue(json.dumps({"worker": 600, "pid_file": str(pid_file)}))
    pid = int(await file_written(pid_file))

    await services.sql("select ops.cancel_run($1, 'test')", run_id)
    row = await services.until(run_id, now="canceled")

    assert row["cancel"] == "confirmed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_worker_process_that_dies_fails_the_run_with_its_name(services: Services) -> None:
    await services.executor()

    run_id = await services.enqueue('{"die": true}')
    row = await services.until(run_id, now="failed")

    assert json.loads(row["error"])["code"] == "WORKER_DIED"


async def test_a_run_killed_with_its_worker_leaves_no_process_behind(services: Services, tmp_path: Path) -> None:
    executor = await services.executor()
    pid_file = tmp_path / "pid"
    await services.enqueue(json.dumps({"worker": 600, "pid_file": str(pid_file)}))
    pid = int(await file_written(pid_file))

    executor.signal(signal.SIGTERM)
    await said(executor.log, "service drains")
    executor.signal(signal.SIGTERM)
    await executor.ended()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def held_by_one_of_two(services: Services, params: str) -> tuple[UUID, Process, Process]:
    """A run under a short lease, the process that carries it, and one that is idle."""
    await services.lease_ms(LEASE_MS)
    await services.dispatcher(LAKEHOUSE_DISPATCHER_SCAN_S=str(SCAN_S))
    processes = {name: await services.executor(LAKEHOUSE_EXECUTOR_NAME=name) for name in ("one", "two")}
    begun = services.folder / "begun"
    run_id = await services.enqueue(json.dumps(json.loads(params) | {"begun": str(begun)}))
    await file_written(begun)
    row = await services.until(run_id, now="running")
    (holder,) = await services.sql("select name from ops.executors where id = $1", row["executor_id"])
    idle = next(name for name in processes if name != holder["name"])
    return run_id, processes[holder["name"]], processes[idle]


async def said(log: Path, *any_of: str) -> None:
    """Wait until a log holds one of the texts."""
    with anyio.fail_after(DEADLINE):
        while not any(text in log.read_text() for text in any_of):  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(0.02)
