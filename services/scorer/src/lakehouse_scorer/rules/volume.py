"""Whether the run wrote about as many rows as its pipeline usually writes."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.usual import against, succeeded
from opscore.domain.signal import Signal
from opscore.domain.statistic import Side, Yardstick
from opscore.ports.event_log import RunFacts

ROWS = Yardstick("rows", Side.BOTH, floor_share=Decimal("0.1"), floor_least=Decimal(10))


def volume(facts: RunFacts) -> Signal | None:
    """1 up to three deviations off the median, 0 from eight, on both sides; None for runs that published nothing."""
    return against("volume", ROWS, facts.rows_added, facts.volumes) if succeeded(facts) else None
