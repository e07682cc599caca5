"""How the run ended."""

from __future__ import annotations

from opscore.domain.signal import Signal, by_outcome
from opscore.ports.event_log import RunFacts


def outcome(facts: RunFacts) -> Signal:
    """1 succeeded, 0.5 canceled, 0 failed."""
    return Signal("outcome", *by_outcome(facts.state))
