"""Which marts a run makes, in which order, and the trips to worker processes that make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse_executor.context import PhaseContext
from lakehouse_executor.gold import Mart, in_waves, mart
from lakehouse_executor.gold_build import MartTask
from lakehouse_executor.made import Ended, Made
from lakehouse_executor.parameters import run_day, run_parameters
from lakehouse_executor.worker_transform import make_mart
from lakehouse_executor.workforce import in_workers
from opscore.domain.errors import TransformFailed
from opscore.domain.pipeline import PipelineSpec
from opscore.domain.transform import SqlTransform


@dataclass(frozen=True, slots=True)
class Wave:
    """Marts that can be made side by side. pointers is read when they are made: earlier waves have moved it."""

    context: PhaseContext
    marts: list[Mart]
    states: Mapping[str, dict[str, Any]]
    pointers: Mapping[str, str]

    async def make(self, ended: Ended) -> None:
        """Make every mart whose inputs, query or parameters have moved. Raises TransformFailed."""
        for item in self.marts:
            self._require_inputs(item)
        moved = [item for item in self.marts if self._has_moved(item)]
        ended([Made(table=item.table, staged=None, inputs={}) for item in self.marts if item not in moved], 0)
        calls = [(self.context.lake_options, self._pointers_of(item), self._task(item)) for item in moved]
        await in_workers(self.context.workers, "marts", make_mart, calls, lambda made: ended([made], len(moved)))

    def _require_inputs(self, item: Mart) -> None:
        for name in item.inputs:
            if name not in self.pointers:
                raise TransformFailed(
                    file=item.file,
                    fault=f"it reads {name}, which is not in the lake",
                    hint="Run the pipeline that makes it; if the source has no such table, take the transform out.",
                )

    def _has_moved(self, item: Mart) -> bool:
        seen = self._seen(item)
        now = (item.digest, item.params_text, {name: self.pointers[name] for name in item.inputs})
        return seen is None or (seen.get("query"), seen.get("params"), seen.get("locations")) != now

    def _seen(self, item: Mart) -> dict[str, Any] | None:
        return self.states.get(item.table) if item.table in self.pointers else None

    def _task(self, item: Mart) -> MartTask:
        return MartTask(item, str(self.context.order.lease.run_id), self._seen(item))

    def _pointers_of(self, item: Mart) -> dict[str, str]:
        return {name: self.pointers[name] for name in (*item.inputs, item.table) if name in self.pointers}


@dataclass(frozen=True, slots=True)
class Marts:
    """All `sql` steps of a run."""

    context: PhaseContext
    spec: PipelineSpec
    states: Mapping[str, dict[str, Any]]
    pointers: Mapping[str, str]

    def waves(self) -> list[Wave]:
        """The marts in the spec's order, as groups that can run side by side."""
        values = run_parameters(self.spec, self.context.order.params, run_day(self.context))
        steps = [step for step in self.spec.transforms if isinstance(step, SqlTransform)]
        marts = [mart(step, self._text(step), values) for step in steps]
        return [Wave(self.context, group, self.states, self.pointers) for group in in_waves(marts)]

    def _text(self, step: SqlTransform) -> str:
        try:
            return self.context.files[step.file]
        except KeyError:
            fault = "the file is not in the run's bundle"
            raise TransformFailed(file=step.file, fault=fault, hint="Apply the pipeline again.") from None
