"""What a run is judged by: one pure rule per file, from facts to a signal, or to None when the facts do not suffice."""

from __future__ import annotations

from collections.abc import Callable

from lakehouse_scorer.rules.cost import cost
from lakehouse_scorer.rules.drift import drift
from lakehouse_scorer.rules.duration import duration
from lakehouse_scorer.rules.failure_streak import failure_streak
from lakehouse_scorer.rules.freshness import freshness
from lakehouse_scorer.rules.outcome import outcome
from lakehouse_scorer.rules.quality import quality
from lakehouse_scorer.rules.retries import retries
from lakehouse_scorer.rules.volume import volume
from opscore.domain.signal import Signal
from opscore.ports.event_log import RunFacts

RULES: tuple[Callable[[RunFacts], Signal | None], ...] = (
    *(outcome, quality, duration, volume, retries),
    *(freshness, failure_streak, drift, cost),
)


def judged(facts: RunFacts) -> list[Signal]:
    """All signals the facts suffice for."""
    return [signal for rule in RULES if (signal := rule(facts)) is not None]
