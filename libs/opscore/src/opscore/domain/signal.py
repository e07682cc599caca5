"""What the scorer says about a run: numbers in [0, 1] with evidence, and their weighted sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Signal:
    """name: as in `signal_weights`. value: 1 is healthy, 0 is as bad as it gets. evidence: the numbers behind it."""

    name: str
    value: Decimal
    evidence: Mapping[str, Any]


def weighted_score(signals: Iterable[Signal], weights: Mapping[str, Decimal]) -> Decimal | None:
    """Score in [0, 100], two decimals, over the signals that carry a weight; None when none does."""
    pairs = [(signal.value, weights[signal.name]) for signal in signals if weights.get(signal.name, Decimal(0)) > 0]
    total = sum((weight for _, weight in pairs), Decimal(0))
    if not total:
        return None
    score = sum((value * weight for value, weight in pairs), Decimal(0)) / total * 100
    return score.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)
