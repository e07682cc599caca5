"""Judged runs and what followed them, as numbers. Pure; used by `regression` and `propose`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opscore.ports.event_log import TrainingRun

SIGNALS = ("outcome", "quality", "duration", "volume", "retries", "freshness", "failure_streak", "drift", "cost")


@dataclass(frozen=True, slots=True)
class History:
    """Oldest first. badness: 1 - value for each of SIGNALS, 0 where a run has none. trouble: what followed."""

    badness: Sequence[Sequence[float]]
    trouble: Sequence[bool]


def history(runs: Sequence[TrainingRun]) -> History:
    """runs: newest first, as the control plane answers."""
    ordered = list(reversed(runs))
    return History(
        [[_badness(run.signals, name) for name in SIGNALS] for run in ordered], [run.trouble for run in ordered]
    )


def _badness(signals: Mapping[str, float], name: str) -> float:
    return 1 - float(signals.get(name, 1))
