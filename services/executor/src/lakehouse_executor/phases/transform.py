"""Turns tables into tables: silver from logs, marts from queries. Everything is staged; publish makes it visible.

Called by `run.py` through the registry. Tables whose inputs have not moved are left alone, so a run on an unchanged
lake costs one query for pointers and stages nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from anyio import to_thread

from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.gold_plan import Marts
from lakehouse_executor.made import Made
from lakehouse_executor.silver_plan import Silver
from opscore.domain.pipeline import PipelineSpec
from opscore.domain.transform import CurrentState


async def transform(context: PhaseContext) -> PhaseResult:
    """Carry out the spec's transforms: current state first, then queries in order. Raises TransformFailed."""
    spec = PipelineSpec.model_validate(context.spec)
    states = await context.control.table_states(context.order.lease)
    pointers = await to_thread.run_sync(context.lake.published)
    made: list[Made] = []
    for step in spec.transforms:
        if isinstance(step, CurrentState):
            made += seen_by_later(pointers, await Silver(context, step, states, pointers).make())
    for wave in Marts(context, spec, states, pointers).waves():
        made += seen_by_later(pointers, await wave.make())
    return result_of(made)


def seen_by_later(pointers: dict[str, str], made: list[Made]) -> list[Made]:
    """Let later steps of the run read what this one staged."""
    pointers.update({table.table: table.staged.metadata_location for table in made if table.staged})
    return made


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
