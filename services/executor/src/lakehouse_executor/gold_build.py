"""Makes one table from its query. Runs in worker processes; knows ports only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse_executor.change_log import KEY, key_text
from lakehouse_executor.gold import Mart, order_of
from lakehouse_executor.made import Made, write_rows
from opscore.domain.errors import QueryFailed, TransformFailed
from opscore.domain.table import TableVersion
from opscore.ports.engine import Engine
from opscore.ports.lake import Lake


@dataclass(frozen=True, slots=True)
class MartTask:
    """seen: what the run that made the published table remembered, None to make it in any case."""

    mart: Mart
    run_id: str
    seen: Mapping[str, Any] | None


def mart_state(mart: Mart, inputs: Mapping[str, TableVersion]) -> dict[str, Any]:
    """What the next run compares with; metadata locations are for the quick comparison, without opening a table."""
    return {
        "query": mart.digest,
        "params": mart.params_text,
        "inputs": {name: str(version.snapshot_id) for name, version in sorted(inputs.items())},
        "locations": {name: version.metadata_location for name, version in sorted(inputs.items())},
    }


def same_mart(state: Mapping[str, Any], seen: Mapping[str, Any] | None) -> bool:
    """Whether the published table was made by this query from these snapshots with these parameters."""
    return seen is not None and all(seen.get(name) == state[name] for name in ("query", "params", "inputs"))


def build_mart(lake: Lake, engine: Engine, inputs: Mapping[str, TableVersion], task: MartTask) -> Made:
    """Write and stage the rows of a query over mounted inputs. Raises TransformFailed naming the file."""
    mart, state = task.mart, mart_state(task.mart, inputs)
    if same_mart(state, task.seen):
        return Made(table=mart.table, staged=None, inputs=state["inputs"])
    try:
        engine.check_readable(mart.sql)
        columns = tuple(column.name for column in engine.columns(mart.sql, mart.parameters))
        reading = engine.read(mart.sql, mart.parameters, order_by=order_of(mart, columns))
    except QueryFailed as error:
        raise TransformFailed(file=mart.file, fault=error.message.rstrip(".")) from error
    properties = {KEY: key_text(mart.key)}
    staged = write_rows(lake, reading, mart.table, origin=mart.file, run_id=task.run_id, properties=properties)
    return Made(table=mart.table, staged=staged, inputs=state["inputs"], state=state, key=mart.key)
