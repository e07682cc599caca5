"""Whether the pipeline fails again and again."""

from __future__ import annotations

from opscore.domain.signal import Signal, by_streak
from opscore.ports.event_log import RunFacts


def failure_streak(facts: RunFacts) -> Signal | None:
    """0.2 less for every failure in a row, this run included; None for runs that have nothing in common."""
    return Signal("failure_streak", *by_streak(facts.streak)) if facts.comparable else None
