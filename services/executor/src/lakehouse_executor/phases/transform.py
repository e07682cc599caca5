"""Turns tables into tables: silver from logs, marts from queries. Everything is staged; publish makes it visible.

Called by `run.py` through the registry. Tables whose inputs have not moved are left alone, so a run on an unchanged
lake costs one query for pointers and stages nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import anyio
from anyio import to_thread

from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.gold_plan import Marts
from lakehouse_executor.made import Made
from lakehouse_executor.silver_plan import Silver
from opscore.domain.errors import OpsError
from opscore.domain.pipeline import PipelineSpec
from opscore.domain.transform import CurrentState

THROW_AWAY_SECONDS = 30


async def transform(context: PhaseContext) -> PhaseResult:
    """Carry out the spec's transforms: current state first, then queries in order. Raises TransformFailed."""
    spec = PipelineSpec.model_validate(context.spec)
    # Pointers before states: if a run publishes in between, publish refuses ours.
    pointers = await to_thread.run_sync(context.lake.published)
    states = await context.control.table_states(context.order.lease)
    bench = Bench(context, pointers)
    try:
        for step in spec.transforms:
            if isinstance(step, CurrentState):
                await Silver(context, step, states, pointers).make(bench.ended)
        for wave in Marts(context, spec, states, pointers).waves():
            await wave.make(bench.ended)
    except BaseException:
        await bench.throw_away()
        raise
    return result_of(bench.made)


class Bench:
    """The tables that a run has made so far."""

    def __init__(self, context: PhaseContext, pointers: dict[str, str]) -> None:
        """pointers: the lake as the run sees it; what is staged here is what later steps read."""
        self.made: list[Made] = []
        self._context = context
        self._pointers = pointers

    def ended(self, made: list[Made], total: int) -> None:
        """Take tables that were made or left alone, and report how far the step is."""
        self.made += made
        self._pointers.update({table.table: table.staged.metadata_location for table in made if table.staged})
        if made and total:
            done = len([table for table in self.made if table.staged])
            self._context.progress({"done": min(done, total), "total": total, "unit": "tables"})

    async def throw_away(self) -> None:
        """Remove files that no version will ever refer to; what cannot be removed now is left to maintenance."""
        staged = [table.staged for table in self.made if table.staged]
        with anyio.move_on_after(THROW_AWAY_SECONDS, shield=True), suppress(OpsError):
            await to_thread.run_sync(self._context.lake.discard, staged)


def result_of(made: Iterable[Made]) -> PhaseResult:
    """The phase's checkpoint: what publish stages, remembers and puts into the manifest."""
    everything = list(made)
    fresh = [(table, table.staged) for table in everything if table.staged is not None]
    return {
        "tables": [staged.as_json() for _, staged in fresh],
        "states": {table.table: dict(table.state) for table, _ in fresh},
        "inputs": {name: snapshot for table, _ in fresh for name, snapshot in sorted(table.inputs.items())},
        "keys": {table.table: list(table.key) for table, _ in fresh},
        "counts": {table.table: _counts(table, staged.rows_added) for table, staged in fresh},
        "unchanged": len(everything) - len(fresh),
    }


def _counts(table: Made, rows: int) -> dict[str, int]:
    expected = {} if table.source_rows is None else {"source_rows": table.source_rows}
    return {"rows_added": rows, **expected}
