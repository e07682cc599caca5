"""Real worker processes: what crosses the border, and that cancel means stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from anyio import to_thread

from lakehouse_executor.metering import METER, Meter
from lakehouse_executor.worker import stopping_with
from lakehouse_executor.workforce import in_batches, in_worker, in_workers, staffed
from opscore.domain.errors import QueryFailed, WorkerDied


def leave_mark_and_run_on(mark: str) -> None:
    Path(mark).write_text(str(os.getpid()), encoding="utf-8")
    while True:
        time.sleep(1)


def ignore_stops_with_a_child(mark: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(mark).write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
    time.sleep(600)


def clean_up_when_stopped(mark: str, cleaned: str) -> None:
    try:
        Path(mark).write_text(str(os.getpid()), encoding="utf-8")
        time.sleep(600)
    finally:
        Path(cleaned).write_text("clean", encoding="utf-8")


def cancel_a_statement(mark: str, told: str) -> None:
    """An engine elsewhere: its statement goes on until it is canceled there."""
    with stopping_with(lambda: Path(told).write_text("canceled", encoding="utf-8")):
        Path(mark).write_text("running", encoding="utf-8")
        time.sleep(600)


def scan_for_ever(mark: str) -> None:
    from opscore.engines.duckdb import DuckDBEngine

    engine = DuckDBEngine()
    with stopping_with(engine.cancel):
        Path(mark).write_text(str(os.getpid()), encoding="utf-8")
        engine.rows("select count(*) from range(100000000000) a where hash(range) = 1")


def spin(seconds: float) -> int:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return 1


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


@asynccontextmanager
async def canceled_once_marked(mark: Path, grace: float, work: Callable[..., Any], *args: str) -> AsyncIterator[str]:
    """Run work until it has written its mark, then cancel it; yields the mark when all is over."""
    os.mkfifo(mark)
    async with staffed(grace), anyio.create_task_group() as group:
        group.start_soon(in_worker, anyio.CapacityLimiter(1), "work", work, str(mark), *args)
        text = await to_thread.run_sync(mark.read_text)
        group.cancel_scope.cancel()
    yield text


async def ended(pid: int) -> None:
    """Until no such process works any more; one that only waits to be reaped has ended."""
    with anyio.fail_after(10), contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - the kernel's state
            await anyio.sleep(0.01)


async def test_a_call_that_ignores_the_stop_is_killed_with_all_it_started(tmp_path: Path) -> None:
    async with canceled_once_marked(tmp_path / "mark", 0.2, ignore_stops_with_a_child) as text:
        for pid in text.split():
            await ended(int(pid))


async def test_a_call_that_is_asked_to_stop_cleans_up_behind_itself(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"

    async with canceled_once_marked(tmp_path / "mark", 60, clean_up_when_stopped, str(cleaned)):
        assert cleaned.read_text() == "clean"


async def test_a_stop_cancels_the_statement_at_its_engine(tmp_path: Path) -> None:
    told = tmp_path / "told"

    async with canceled_once_marked(tmp_path / "mark", 60, cancel_a_statement, str(told)):
        assert told.read_text() == "canceled"


async def test_a_stop_ends_a_statement_that_duckdb_is_busy_with(tmp_path: Path) -> None:
    async with canceled_once_marked(tmp_path / "mark", 60, scan_for_ever) as pid:
        await ended(int(pid))


async def test_cpu_time_of_workers_counts_for_the_run_that_called() -> None:
    meter = Meter()
    METER.set(meter)

    await in_workers(anyio.CapacityLimiter(2), "spinning", spin, [(0.2,), (0.2,)])

    assert 0.4 <= meter.compute_seconds < 2


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
