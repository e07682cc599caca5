"""Whether the run cost more than its pipeline usually costs."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.usual import against, succeeded
from opscore.domain.signal import Signal
from opscore.domain.statistic import Side, Yardstick
from opscore.ports.event_log import RunFacts

LEAST = {"cost": Decimal("0.01"), "compute_seconds": Decimal(1)}


def cost(facts: RunFacts) -> Signal | None:
    """1 up to three deviations above the median, 0 from eight; None while nobody says what runs cost."""
    if not succeeded(facts) or facts.cost_unit is None:
        return None
    money = Yardstick(facts.cost_unit, Side.ABOVE, floor_share=Decimal("0.1"), floor_least=LEAST[facts.cost_unit])
    return against("cost", money, facts.cost, facts.costs)
