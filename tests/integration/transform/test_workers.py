"""Real worker processes: what crosses the border, and that cancel means stopped."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from lakehouse_executor.workforce import in_batches, in_worker, in_workers
from opscore.domain.errors import QueryFailed, WorkerDied


def leave_mark_and_run_on(mark: str) -> None:
    Path(mark).write_text(str(os.getpid()), encoding="utf-8")
    while True:
        time.sleep(1)


def fail_with_facts() -> None:
    raise QueryFailed("no such column", hint="look again", line=3)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def engine_answers() -> int:
    from opscore.engines.duckdb import DuckDBEngine

    return DuckDBEngine().rows("select 42")[0][0]


async def test_a_canceled_call_ends_its_process(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    os.mkfifo(mark)  # reading it waits for the worker to write
    workers = anyio.CapacityLimiter(1)

    async with anyio.create_task_group() as group:
        group.start_soon(in_worker, workers, "endless work", leave_mark_and_run_on, str(mark))
        pid = int(await to_thread.run_sync(mark.read_text))
        group.cancel_scope.cancel()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert workers.available_tokens == 1


async def test_an_error_of_ours_crosses_the_border_whole() -> None:
    with pytest.raises(QueryFailed) as raised:
        await in_worker(anyio.CapacityLimiter(1), "a query", fail_with_facts)

    assert (raised.value.message, raised.value.hint, raised.value.facts) == (
        "no such column",
        "look again",
        {"line": 3},
    )


async def test_a_process_that_dies_is_named_with_its_work() -> None:
    with pytest.raises(WorkerDied, match="The worker process doing silver tables died"):
        await in_worker(anyio.CapacityLimiter(1), "silver tables", die)


async def test_the_first_fault_of_many_calls_is_raised_alone() -> None:
    with pytest.raises(QueryFailed):
        await in_workers(anyio.CapacityLimiter(2), "queries", fail_with_facts, [(), ()])


async def test_engines_load_in_a_worker() -> None:
    assert await in_worker(anyio.CapacityLimiter(1), "a query", engine_answers) == 42


def test_items_are_cut_into_batches() -> None:
    assert in_batches([1, 2, 3], 2) == [(1, 2), (3,)]
    assert in_batches([], 2) == []
