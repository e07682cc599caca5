"""Whether the run took longer than its pipeline usually takes."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.usual import against, succeeded
from opscore.domain.signal import Signal
from opscore.domain.statistic import Side, Yardstick
from opscore.ports.event_log import RunFacts

TIME = Yardstick("ms", Side.ABOVE, floor_share=Decimal("0.1"), floor_least=Decimal(500))


def duration(facts: RunFacts) -> Signal | None:
    """1 up to three deviations above the median, 0 from eight; None for runs that did not succeed."""
    return against("duration", TIME, facts.duration_ms, facts.durations) if succeeded(facts) else None
