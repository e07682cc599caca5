"""Blocking work in processes that can be killed: a canceled run stops its statement by ending its process.

Used by the phases that compute. Functions and arguments cross a process border, so both must pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio
from anyio import BrokenWorkerProcess, to_process

from opscore.domain.errors import WorkerDied

Result = TypeVar("Result")


async def in_worker(workers: anyio.CapacityLimiter, work: str, function: Callable[..., Result], *args: Any) -> Result:
    """Run one call in a worker process; cancelling the caller kills it. Raises WorkerDied when it ends early."""
    try:
        return await to_process.run_sync(function, *args, cancellable=True, limiter=workers)
    except BrokenWorkerProcess as error:
        raise WorkerDied(work=work, reason=str(error.__cause__ or error) or "the process ended") from error


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
