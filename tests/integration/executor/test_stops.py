"""Everything that ends work, on real processes: cancel, time limit, sign-off, death without a dispatcher."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import anyio
import psutil

from support.services import Services, file_written

ALONE = {"LAKEHOUSE_EXECUTOR_CLAIM_AFTER_S": "0.2"}
LEASE_MS = 2000


async def test_a_stopped_executor_is_gone_at_once(services: Services) -> None:
    await services.sql("update ops.settings set executor_ttl_ms = 3600000")
    executor = await services.executor(**ALONE)
    await services.until(await services.enqueue(), now="succeeded")

    executor.signal(signal.SIGTERM)
    await executor.ended()

    (row,) = await services.sql("select lost_at, signed_off_at from api.executors")
    assert None not in tuple(row)


async def test_a_killed_executor_has_not_signed_off(services: Services) -> None:
    executor = await services.executor(**ALONE)
    await services.until(await services.enqueue(), now="succeeded")

    executor.signal(signal.SIGKILL)
    await executor.ended()

    (row,) = await services.sql("select signed_off_at from api.executors")
    assert row["signed_off_at"] is None


async def test_without_a_dispatcher_another_executor_takes_a_killed_ones_run_over(services: Services) -> None:
    await services.lease_ms(LEASE_MS)
    pids = {name: await services.executor(LAKEHOUSE_EXECUTOR_NAME=name, **ALONE) for name in ("one", "two")}
    run_id = await services.enqueue('{"sleep": 3}')
    row = await services.until(run_id, now="running")
    (holder,) = await services.sql("select name from ops.executors where id = $1", row["executor_id"])

    pids[holder["name"]].signal(signal.SIGKILL)

    row = await services.until(run_id, now="succeeded")
    assert (row["attempt"], row["losses"], row["failures"]) == (2, 1, 0)


async def test_of_two_dispatchers_the_other_leads_when_one_is_frozen(services: Services) -> None:
    first = await services.dispatcher(LAKEHOUSE_DISPATCHER_LEADER_TTL_S="1")
    await services.dispatcher(LAKEHOUSE_DISPATCHER_LEADER_TTL_S="1")
    await services.executor(LAKEHOUSE_EXECUTOR_CLAIM_AFTER_S="3600")

    first.signal(signal.SIGSTOP)
    run_id = await services.enqueue()

    assert (await services.until(run_id, now="succeeded"))["attempt"] == 1


async def test_a_cancel_kills_a_worker_that_does_not_listen_with_its_children(
    services: Services, tmp_path: Path
) -> None:
    await services.executor(LAKEHOUSE_EXECUTOR_CANCEL_GRACE_S="0.3", **ALONE)
    pid_file = tmp_path / "pids"
    run_id = await services.enqueue(json.dumps({"stubborn": str(pid_file)}))
    pids = [int(pid) for pid in (await file_written(pid_file)).split()]

    await services.sql("select ops.cancel_run($1, 'ada', 'too slow')", run_id)
    row = await services.until(run_id, now="canceled")

    assert (row["cancel"], row["cancel_requested_by"], row["cancel_reason"]) == ("confirmed", "ada", "too slow")
    for pid in pids:
        await over(pid)


async def test_a_cancel_that_a_frozen_executor_cannot_hear_ends_as_presumed(services: Services) -> None:
    await services.lease_ms(LEASE_MS)
    await services.dispatcher()
    executor = await services.executor()
    run_id = await services.enqueue('{"sleep": 600}')
    await services.until(run_id, now="running")

    executor.signal(signal.SIGSTOP)
    await services.sql("select ops.cancel_run($1, 'ada')", run_id)

    assert (await services.until(run_id, now="canceled"))["cancel"] == "presumed"


async def test_a_run_that_outlasts_its_time_limit_fails_and_its_worker_is_over(
    services: Services, tmp_path: Path
) -> None:
    await services.apply("limited", time_limit_seconds=2, retries={"max_attempts": 5})
    await services.executor(**ALONE)
    pid_file = tmp_path / "pid"
    at_once, for_long = (json.dumps({"worker": seconds, "pid_file": str(pid_file)}) for seconds in (0, 600))
    await services.until(await services.enqueue(at_once), now="succeeded")
    pid = int(pid_file.read_text())  # of the worker that is idle now and is given the next call

    run_id = await services.enqueue(for_long, "limited")
    row = await services.until(run_id, now="failed")

    assert (json.loads(row["error"])["code"], row["attempt"], row["failures"]) == ("TIME_LIMIT", 1, 1)
    await over(pid)


async def over(pid: int) -> None:
    """Until no such process works any more; one that only waits to be reaped is over."""
    with anyio.fail_after(20):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - the kernel's state
            await anyio.sleep(0.02)
