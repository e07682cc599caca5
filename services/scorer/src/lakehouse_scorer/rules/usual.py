"""What the rules that look at history share. Only a run that succeeded says something about speed, amount and cost."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from opscore.domain.run import RunState
from opscore.domain.signal import Signal
from opscore.domain.statistic import Yardstick
from opscore.ports.event_log import RunFacts


def succeeded(facts: RunFacts) -> bool:
    """Whether the run came to the end that the runs it is compared with came to."""
    return facts.comparable and facts.state == RunState.SUCCEEDED


def against(
    name: str, yardstick: Yardstick, observed: Decimal | int | None, history: Sequence[Decimal] | Sequence[int]
) -> Signal | None:
    """The signal, or None when there is nothing to measure or too little to measure it by."""
    if observed is None:
        return None
    measured = yardstick.measured(Decimal(observed), [Decimal(each) for each in history])
    return Signal(name, *measured) if measured else None
