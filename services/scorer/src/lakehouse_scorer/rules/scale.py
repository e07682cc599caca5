"""Numbers that rules share: the scale of a signal and the history it takes to call something usual."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from opscore.domain.run import RunState
from opscore.ports.event_log import RunFacts

ENOUGH_RUNS = 3
DIGITS = Decimal("0.000001")


def on_scale(value: Decimal) -> Decimal:
    """The value as signals carry it: in [0, 1], six decimals."""
    return min(max(value, Decimal(0)), Decimal(1)).quantize(DIGITS, rounding=ROUND_HALF_EVEN)


def is_comparable(facts: RunFacts) -> bool:
    """Whether earlier runs say what is usual for this one: it came to its good end as they did, and they are enough."""
    return facts.state == RunState.SUCCEEDED and facts.earlier_runs >= ENOUGH_RUNS
