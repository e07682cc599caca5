"""Which silver tables a run makes anew, and the trips to worker processes that make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse_executor.context import PhaseContext
from lakehouse_executor.made import Ended, Made
from lakehouse_executor.silver import VERSION
from lakehouse_executor.silver_build import SilverTask
from lakehouse_executor.worker_transform import make_silver
from lakehouse_executor.workforce import in_batches, in_workers
from opscore.domain.transform import CurrentState

TABLES_PER_TRIP = 8  # small tables cost less than a trip; large ones should not queue behind each other


@dataclass(frozen=True, slots=True)
class Silver:
    """One `current_state` step of a run. states and pointers as the run found them, by full table name."""

    context: PhaseContext
    step: CurrentState
    states: Mapping[str, dict[str, Any]]
    pointers: Mapping[str, str]

    async def make(self, ended: Ended) -> None:
        """Make every table whose log has moved; the others are reported unchanged."""
        tasks = self.tasks()
        moved = [task for task in tasks if self.has_moved(task)]
        ended([Made(table=task.into, staged=None, inputs={}) for task in tasks if task not in moved], 0)
        batches = in_batches(moved, TABLES_PER_TRIP)
        calls = [(self.context.lake_options, self._pointers_of(batch), batch) for batch in batches]
        await in_workers(
            self.context.workers, f"{self.step.into} tables", make_silver, calls, lambda made: ended(made, len(moved))
        )

    def tasks(self) -> list[SilverTask]:
        """One for each log of the namespace, by name."""
        prefix = f"{self.step.source}."
        return [self._task(name, at) for name, at in sorted(self.pointers.items()) if name.startswith(prefix)]

    def has_moved(self, task: SilverTask) -> bool:
        """Whether the log may differ from what the published table was made from; settled by snapshot in the worker."""
        return task.seen is None or self.states[task.into].get("input_location") != task.location

    def _task(self, log: str, location: str) -> SilverTask:
        into = f"{self.step.into}.{log.partition('.')[2]}"
        run_id = str(self.context.order.lease.run_id)
        return SilverTask(log, location, into, self.step.language, run_id, seen=self._seen(into))

    def _seen(self, into: str) -> str | None:
        state = self.states.get(into, {})
        is_ours = (state.get("version"), state.get("language")) == (VERSION, self.step.language)
        return state.get("input_snapshot_id") if is_ours and into in self.pointers else None

    def _pointers_of(self, batch: tuple[SilverTask, ...]) -> dict[str, str]:
        names = {name for task in batch for name in (task.log, task.into)}
        return {name: self.pointers[name] for name in names if name in self.pointers}
