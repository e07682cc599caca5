"""Who is told when something is noticed. Handed to every part of a service that sees things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from opscore.observe.log import Log
from opscore.observe.metrics import Metrics
from opscore.observe.observation import Observation


class Observer(Protocol):
    """Takes observations; never raises, never waits."""

    def notice(self, observation: Observation) -> None:
        """Something happened."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceObserver:
    """Turns each observation into one log line and its numbers."""

    log: Log
    metrics: Metrics

    def notice(self, observation: Observation) -> None:
        """Count first: a log that cannot be written must not cost the number."""
        self.metrics.take_in(observation)
        self.log.write(observation)
