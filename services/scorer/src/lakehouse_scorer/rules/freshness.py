"""How old the pipeline's result had become when the run ended."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.usual import against
from opscore.domain.signal import Signal
from opscore.domain.statistic import Side, Yardstick
from opscore.ports.event_log import RunFacts

AGE = Yardstick("ms", Side.ABOVE, floor_share=Decimal("0.25"), floor_least=Decimal(60_000))


def freshness(facts: RunFacts) -> Signal | None:
    """1 up to three deviations above the median of times between successes, 0 from eight; however the run ended."""
    return against("freshness", AGE, facts.gap_ms, facts.gaps) if facts.comparable else None
