"""What the checks of the last attempt found."""

from __future__ import annotations

from opscore.domain.signal import Signal, by_share
from opscore.ports.event_log import RunFacts


def quality(facts: RunFacts) -> Signal | None:
    """Share of checks that passed, a warning counting half; None without checks."""
    if not facts.checks_passed + facts.checks_warned + facts.checks_failed:
        return None
    return Signal("quality", *by_share(facts.checks_passed, facts.checks_warned, facts.checks_failed))
