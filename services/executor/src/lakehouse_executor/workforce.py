"""Blocking work in processes that can be stopped: a canceled run ends its statement by ending its process.

Used by the phases that compute. Functions and arguments cross a process border, so both must pickle. A call that is
cancelled is asked to stop (see `worker.py`) and killed after a grace, with every process it started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from lakehouse_executor.metering import METER
from lakehouse_executor.worker import READY, Answer, serve
from opscore.domain.errors import WorkerDied

Result = TypeVar("Result")

GRACE = 2.0  # seconds between asking and killing
LONGEST_IDLE = 300.0
SPAWN = get_context("spawn")


@dataclass(slots=True)
class Worker:
    """One process and the pipe to it."""

    process: SpawnProcess
    calls: Connection
    idle_since: float = 0.0

    @classmethod
    def start(cls) -> Worker:
        """Start a process and wait until it listens. Blocking. Raises EOFError when it does not come up."""
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        worker = cls(process, ours)
        if ours.recv_bytes() != READY:
            raise EOFError
        return worker

    async def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
        """Run one call. Raises EOFError or OSError when the process ends first."""
        self.calls.send((function, args))
        await anyio.wait_readable(self.calls.fileno())
        return await to_thread.run_sync(self.calls.recv, abandon_on_cancel=True)

    async def end(self, grace: float) -> None:
        """Ask the process to stop, then kill its group."""
        self._signal(signal.SIGTERM)
        with anyio.move_on_after(grace):
            await anyio.wait_readable(self.process.sentinel)
        self.kill()
        await to_thread.run_sync(self.process.join)

    def kill(self) -> None:
        """Kill the group. The process is not reaped before, so that its number cannot have become another's."""
        self._signal(signal.SIGKILL)
        self.calls.close()

    def bury(self) -> str:
        """Why it died, in words; what it started dies too."""
        self.kill()
        self.process.join()
        code = self.process.exitcode or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid or 0, number)


@dataclass(slots=True)
class Staff:
    """The worker processes of this event loop."""

    grace: float = GRACE
    idle: list[Worker] = field(default_factory=list[Worker])

    async def take(self) -> Worker:
        """The worker that was busy last, or a new one; those idle for long are let go."""
        now = time.monotonic()
        for stale in [one for one in self.idle[:-1] if now - one.idle_since > LONGEST_IDLE]:
            self.idle.remove(stale)
            stale.kill()
        while self.idle:
            worker = self.idle.pop()
            if worker.process.is_alive():
                return worker
        return await to_thread.run_sync(Worker.start)

    def give_back(self, worker: Worker) -> None:
        """It is idle."""
        worker.idle_since = time.monotonic()
        self.idle.append(worker)

    def dismiss(self) -> None:
        """End all that are idle."""
        for worker in self.idle:
            worker.kill()
        self.idle.clear()


_staff: RunVar[Staff] = RunVar("staff")


@asynccontextmanager
async def staffed(grace: float) -> AsyncGenerator[None]:
    """Worker processes with this grace for calls in the block; none is left behind."""
    staff = Staff(grace)
    _staff.set(staff)
    try:
        yield
    finally:
        staff.dismiss()


def _present_staff() -> Staff:
    try:
        return _staff.get()
    except LookupError:
        staff = Staff()
        _staff.set(staff)
        return staff


async def in_worker(workers: anyio.CapacityLimiter, work: str, function: Callable[..., Result], *args: Any) -> Result:
    """Run one call in a worker process; cancelling the caller stops it. Raises WorkerDied when it ends early."""
    async with workers:
        answer = await _answer(_present_staff(), work, function, args)
    if answer.raised:
        raise answer.value
    return answer.value


async def _answer(staff: Staff, work: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Answer:
    started = time.monotonic()
    worker: Worker | None = None
    answer: Answer | None = None
    try:
        worker = await staff.take()
        answer = await worker.call(function, args)
    except (EOFError, OSError) as error:
        reason = "it did not start" if worker is None else await to_thread.run_sync(worker.bury)
        worker = None
        raise WorkerDied(work=work, reason=reason) from error
    else:
        return answer
    finally:
        _meter(answer, started)
        if worker is not None:
            await _let_go(staff, worker, usable=answer is not None)


async def _let_go(staff: Staff, worker: Worker, *, usable: bool) -> None:
    if usable:
        staff.give_back(worker)
        return
    with anyio.CancelScope(shield=True):
        await worker.end(staff.grace)


def _meter(answer: Answer | None, started: float) -> None:
    meter = METER.get()
    if meter is None:
        return
    meter.compute_seconds += time.monotonic() - started if answer is None else answer.cpu_seconds
    meter.queries += 0 if answer is None else answer.statements


async def in_workers(
    workers: anyio.CapacityLimiter,
    work: str,
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    done: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Run many calls, as many at once as there are workers; results in the calls' order.

    done: given each result as it comes, also of calls that ended before another one failed. The first fault ends the
    others and is raised alone.
    """
    results: dict[int, Result] = {}

    async def run(position: int, call: tuple[Any, ...]) -> None:
        results[position] = await in_worker(workers, work, function, *call)
        done(results[position])

    try:
        async with anyio.create_task_group() as group:
            for position, call in enumerate(calls):
                group.start_soon(run, position, call)
    except BaseExceptionGroup as faults:
        raise _first(faults) from None
    return [results[position] for position in range(len(calls))]


def in_batches(items: Sequence[Result], size: int) -> list[tuple[Result, ...]]:
    """Cut a list into tuples of at most `size`: one trip to a worker for many small tables."""
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    fault = faults.exceptions[0]
    return _first(fault) if isinstance(fault, BaseExceptionGroup) else fault
