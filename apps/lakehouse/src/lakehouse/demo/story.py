"""What the demo does once everything is up: apply three pipelines, run them one after the other, look at the result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lakehouse.client import Lakehouse
from lakehouse.client.applying import apply_bundles
from lakehouse.demo.pipelines import NAMES, spec_files
from opscore.domain.schedule import MAIN
from opscore.ports.people import Json
from opscore.specs import bundle

BY = "demo"
Saw = Callable[[list[Json]], None]


@dataclass(frozen=True, slots=True)
class Story:
    """runs: as far as they came, in order. tables: everything that is published now."""

    runs: list[Json]
    tables: list[Json]

    def as_json(self, url: str) -> Json:
        """What `lakehouse demo -o json` prints."""
        shown = [{name: table[name] for name in ("name", "rows", "snapshot_id")} for table in self.tables]
        return {"runs": self.runs, "tables": shown, "url": url}


async def tell(lakehouse: Lakehouse, saw: Saw) -> Story:
    """Apply and run all three; a run that does not succeed is the last."""
    await apply_bundles(lakehouse, [bundle(file) for file in spec_files()])
    runs: list[Json] = []
    async with _undisturbed(lakehouse, NAMES[0]):
        for name in NAMES:
            run_id = await lakehouse.start(name, {"chain": False})
            [run] = await lakehouse.wait(run_id, saw=saw)
            runs.append(run)
            if run["state"] != "succeeded":
                break
    return Story(runs, await lakehouse.people.tables())


@asynccontextmanager
async def _undisturbed(lakehouse: Lakehouse, pipeline: str) -> AsyncGenerator[None]:
    """Keep the clock from starting the pipeline meanwhile; a pause that somebody else asked for stays."""
    schedule = await lakehouse.schedules.schedule(lakehouse.environment, pipeline, MAIN)
    if schedule["paused_by"] not in {None, BY}:
        yield
        return
    await lakehouse.schedules.pause(lakehouse.environment, pipeline, MAIN, by=BY, reason="the demo runs it just now")
    try:
        yield
    finally:
        await lakehouse.schedules.resume(lakehouse.environment, pipeline, MAIN)
