"""What the demo does once everything is up: apply three pipelines, run them one after the other, look at the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lakehouse.client import Lakehouse
from lakehouse.client.applying import apply_bundles
from lakehouse.demo.pipelines import NAMES, spec_files
from opscore.ports.people import Json
from opscore.specs import bundle

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
    for name in NAMES:
        run_id = await lakehouse.start(name, {"chain": False})
        [run] = await lakehouse.wait(run_id, saw=saw)
        runs.append(run)
        if run["state"] != "succeeded":
            break
    return Story(runs, await lakehouse.people.tables())
