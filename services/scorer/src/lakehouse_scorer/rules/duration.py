"""Whether the run took longer than its pipeline usually takes."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.scale import is_comparable, on_scale
from opscore.domain.signal import Signal
from opscore.ports.event_log import RunFacts

FINE_UP_TO = Decimal("1.5")
BAD_FROM = Decimal(4)


def duration(facts: RunFacts) -> Signal | None:
    """1 up to 1.5 times the usual duration, falling to 0 at 4 times; None while nothing is usual yet.

    A run that failed or was canceled stopped early, which says nothing about its speed: None as well.
    """
    if not is_comparable(facts) or facts.duration_ms is None or not facts.usual_duration_ms:
        return None
    ratio = facts.duration_ms / facts.usual_duration_ms
    evidence = {
        "duration_ms": facts.duration_ms,
        "usual_duration_ms": str(facts.usual_duration_ms),
        "earlier_runs": facts.earlier_runs,
    }
    return Signal("duration", on_scale((BAD_FROM - ratio) / (BAD_FROM - FINE_UP_TO)), evidence)
