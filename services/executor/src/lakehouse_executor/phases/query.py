"""Answers one statement over published tables; its result becomes the artifact `result.json`.

Called by `run.py` through the registry. The statement runs in a worker process on a locked engine: it sees the tables
it names and nothing else, and cancel or the time limit end it by ending the process.
"""

from __future__ import annotations

from functools import partial

import anyio
from anyio import to_thread

from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.query_run import Query
from lakehouse_executor.worker_transform import run_query
from lakehouse_executor.workforce import in_worker
from opscore.domain.errors import QueryFailed

TIME_LIMIT = 300.0  # seconds


async def query(context: PhaseContext) -> PhaseResult:
    """Run the statement of the run's parameters. Raises QueryFailed with the engine's text and position."""
    asked = Query.of(context.order.params)
    try:
        with anyio.fail_after(TIME_LIMIT):
            content, rows = await in_worker(context.workers, "the query", run_query, context.lake_options, asked)
    except TimeoutError:
        raise QueryFailed(
            f"The statement did not end within {TIME_LIMIT:.0f} s and was stopped.",
            hint="Read fewer rows, or make the result a table in a pipeline.",
        ) from None
    lease = context.order.lease
    put = partial(
        context.artifacts.put, lease.run_id, lease.attempt, "result.json", "result", content, "application/json"
    )
    artifact = await to_thread.run_sync(put)
    await context.control.register_artifacts(lease, [artifact])
    return {"artifacts": [artifact.name], "row_count": rows}
