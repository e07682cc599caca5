"""How smoothly the run went."""

from __future__ import annotations

from opscore.domain.signal import Signal, by_trouble
from opscore.ports.event_log import RunFacts


def retries(facts: RunFacts) -> Signal:
    """1 / (1 + failures + losses)."""
    return Signal("retries", *by_trouble(facts.failures, facts.losses))
