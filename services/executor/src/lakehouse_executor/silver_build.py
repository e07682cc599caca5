"""Makes one silver table from its log. Runs in worker processes; knows ports only."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse_executor.change_log import KEY, MODEL, first_load_question, key_text, required_key
from lakehouse_executor.made import Made, write_rows
from lakehouse_executor.silver import VERSION, expected_rows, silver_select
from opscore.domain.errors import QueryFailed, TransformFailed
from opscore.domain.table import TableVersion
from opscore.ports.engine import Engine, Reading
from opscore.ports.lake import Lake


@dataclass(frozen=True, slots=True)
class SilverTask:
    """log: the table to read, at metadata file `location`. into: the table to make.

    seen: snapshot id the published table was made from, None to make it in any case.
    """

    log: str
    location: str
    into: str
    language: str
    run_id: str
    seen: str | None


def silver_state(task: SilverTask, log: TableVersion) -> dict[str, str | int]:
    """What the next run compares with."""
    return {
        "input_snapshot_id": str(log.snapshot_id),
        "input_location": task.location,
        "language": task.language,
        "version": VERSION,
    }


def build_silver(lake: Lake, engine: Engine, log: TableVersion, task: SilverTask) -> Made:
    """Write and stage the current state of a mounted log. Raises TransformFailed naming the log."""
    key = required_key(log)
    try:
        first_load = bool(engine.rows(first_load_question(log.name))[0][0])
        source_rows = log.rows if first_load else int(engine.rows(expected_rows(log))[0][0])
        reading: Reading = engine.read(silver_select(log, task.language, first_load=first_load))
    except QueryFailed as error:
        raise TransformFailed(file=log.name, fault=error.message.rstrip(".")) from error
    properties = {KEY: key_text(key), MODEL: log.properties.get(MODEL, "")}
    staged = write_rows(lake, reading, task.into, origin=log.name, run_id=task.run_id, properties=properties)
    return Made(
        table=task.into,
        staged=staged,
        inputs={log.name: str(log.snapshot_id)},
        state=silver_state(task, log),
        key=key,
        source_rows=source_rows,
    )


def unchanged(task: SilverTask, log: TableVersion) -> Made:
    """The log is still what the published table was made from."""
    return Made(table=task.into, staged=None, inputs={log.name: str(log.snapshot_id)})
