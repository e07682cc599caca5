"""Checks what a run has staged, before anyone can see it. A gate blocks the run; all outcomes are kept either way.

Called by `run.py` through the registry. Rules look at the lake as it will be if the run publishes: its own staged
tables, and the published version of every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from anyio import to_thread

from lakehouse_executor.checks.plan import Touched, rule_digest, tasks_of
from lakehouse_executor.checks.task import CheckTask
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.parameters import run_day, run_parameters
from lakehouse_executor.worker_transform import run_checks
from lakehouse_executor.workforce import in_batches, in_workers
from opscore.domain.check import CheckOutcome, CheckResult, gate
from opscore.domain.phase import Phase
from opscore.domain.pipeline import PipelineSpec

DATASETS_PER_TRIP = 12
SETTLED = "checks"  # remembered beside the tables' states: which rules held when the pipeline last published
STAGING = (Phase.INGEST, Phase.TRANSFORM)


async def validate(context: PhaseContext) -> PhaseResult:
    """Evaluate the spec's checks on what was staged and record them. Raises GateBlocked."""
    spec = PipelineSpec.model_validate(context.spec)
    touched = Touched.by(context.results[phase] for phase in STAGING if phase in context.results)
    outcomes = await _outcomes(context, spec, touched)
    if outcomes:
        await _keep(context, outcomes)
    gate(outcomes)
    return {"checks": _summary(outcomes), "states": {SETTLED: {"rules": sorted(map(rule_digest, spec.validations))}}}


async def _outcomes(context: PhaseContext, spec: PipelineSpec, touched: Touched) -> list[CheckOutcome]:
    published = await to_thread.run_sync(context.lake.published)
    pointers = touched.pointers(published)
    parameters = run_parameters(spec, context.order.params, run_day(context))
    states = await context.control.table_states(context.order.lease)
    tasks = tasks_of(spec.validations, touched, published, states.get(SETTLED, {}).get("rules", ()))
    calls = [
        (context.lake_options, _pointers_of(batch, pointers), batch, parameters)
        for batch in in_batches(tasks, DATASETS_PER_TRIP)
    ]
    progress = Progress(context, len(tasks))
    found = await in_workers(context.workers, "checks", run_checks, calls, progress.trip_ended)
    ordered = sorted((pair for trip in found for pair in trip), key=lambda pair: (pair[0], pair[1].dataset))
    return [outcome for _, outcome in ordered]


async def _keep(context: PhaseContext, outcomes: Sequence[CheckOutcome]) -> None:
    """Record outcomes with the run, then as an artifact, so that a blocked run can be read afterwards."""
    lease = context.order.lease
    await context.control.record_checks(lease, outcomes)
    content = orjson.dumps({"checks": [outcome.as_json() for outcome in outcomes]}, option=orjson.OPT_SORT_KEYS)
    put = partial(
        context.artifacts.put, lease.run_id, lease.attempt, "checks.json", "checks", content, "application/json"
    )
    await context.control.register_artifacts(lease, [await to_thread.run_sync(put)])


def _pointers_of(batch: tuple[CheckTask, ...], pointers: Mapping[str, str]) -> dict[str, str]:
    names = {name for task in batch for name in task.reads}
    return {name: pointers[name] for name in names if name in pointers}


class Progress:
    """How many datasets have been checked."""

    def __init__(self, context: PhaseContext, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0

    def trip_ended(self, outcomes: list[tuple[int, CheckOutcome]]) -> None:
        """Count a trip's datasets."""
        self._done += len({outcome.dataset for _, outcome in outcomes})
        self._context.progress({"done": self._done, "total": self._total, "unit": "tables"})


def _summary(outcomes: Sequence[CheckOutcome]) -> dict[str, Any]:
    """How many checks came out which way."""
    return {result.value: sum(outcome.result is result for outcome in outcomes) for result in CheckResult}
