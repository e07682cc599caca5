"""Which handler performs which phase. Filled by `app.py`; tests and benchmarks bring their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lakehouse_executor.context import PhaseContext, PhaseResult
from opscore.domain.errors import NotFound
from opscore.domain.phase import Phase

Handler = Callable[[PhaseContext], Awaitable[PhaseResult]]


@dataclass(frozen=True, slots=True)
class Registry:
    """handlers: one per phase. light: phases whose handler never waits; their runs are carried in batches, in-process.

    A light handler cannot be cancelled half-way and is not watched while it runs: it must end within milliseconds.
    """

    handlers: Mapping[Phase, Handler]
    light: frozenset[Phase] = field(default_factory=frozenset[Phase])

    def handler(self, phase: Phase) -> Handler:
        """The phase's handler. Raises NotFound, which is permanent."""
        try:
            return self.handlers[phase]
        except KeyError:
            known = ", ".join(sorted(self.handlers)) or "none"
            raise NotFound(
                f"This executor has no handler for phase {phase}; it knows {known}.",
                hint="Run an executor whose version has it, or require a capability that only such executors offer.",
            ) from None

    def is_light(self, phases: Sequence[Phase]) -> bool:
        """Whether a run with these phases left never waits."""
        return self.light.issuperset(phases)
