"""How far a number is from what is usual, by median and median absolute deviation: exact, with fractions inside.

A few wild runs move neither the median nor the deviation, so that one bad night does not become what is usual. The
floor keeps a history without any spread from turning a millisecond into a catastrophe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

TO_SIGMA = Fraction("1.4826")  # makes the deviation of normal data its standard deviation
DIGITS = 6


class Side(StrEnum):
    """Which distance is bad."""

    ABOVE = "above"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Yardstick:
    """How a number is measured against history.

    floor_share, floor_least: the scale is never below this share of the median, nor below this amount.
    fine_up_to, bad_from: deviations at which the value leaves 1 and reaches 0.
    window, minimum: how many earlier runs are looked at, and how few say nothing.
    """

    unit: str
    side: Side
    floor_share: Decimal
    floor_least: Decimal
    fine_up_to: Decimal = Decimal(3)
    bad_from: Decimal = Decimal(8)
    window: int = 20
    minimum: int = 5

    def measured(self, observed: Decimal, history: Sequence[Decimal]) -> tuple[Decimal, dict[str, Any]] | None:
        """A value in [0, 1] and its evidence; None when the history is too short. history: newest first."""
        seen = [Fraction(each) for each in history[: self.window]]
        if len(seen) < self.minimum:
            return None
        middle = median(seen)
        spread = median([abs(each - middle) for each in seen])
        scale = max(spread * TO_SIGMA, abs(middle) * Fraction(self.floor_share), Fraction(self.floor_least))
        off = (Fraction(observed) - middle) / scale
        far = abs(off) if self.side is Side.BOTH else off
        value = (Fraction(self.bad_from) - far) / (Fraction(self.bad_from) - Fraction(self.fine_up_to))
        evidence = {
            "statistic": "median_mad",
            "unit": self.unit,
            "side": str(self.side),
            "observed": str(observed),
            "median": exact(middle),
            "mad": exact(spread),
            "scale": exact(scale),
            "deviations": str(rounded(off)),
            "fine_up_to": str(self.fine_up_to),
            "bad_from": str(self.bad_from),
            "floor_share": str(self.floor_share),
            "floor_least": str(self.floor_least),
            "window_runs": self.window,
            "minimum_runs": self.minimum,
            "history": [str(each) for each in history[: self.window]],
        }
        return on_scale(value), evidence

    @classmethod
    def of_evidence(cls, evidence: Mapping[str, Any]) -> Yardstick:
        """What a signal was measured by. Raises KeyError, ValueError or ArithmeticError for what is none."""
        return cls(
            unit=evidence["unit"],
            side=Side(evidence["side"]),
            floor_share=Decimal(evidence["floor_share"]),
            floor_least=Decimal(evidence["floor_least"]),
            fine_up_to=Decimal(evidence["fine_up_to"]),
            bad_from=Decimal(evidence["bad_from"]),
            window=evidence["window_runs"],
            minimum=evidence["minimum_runs"],
        )


def median(values: Sequence[Fraction]) -> Fraction:
    """The middle one, or the mean of the middle two. values: at least one."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def on_scale(value: Fraction) -> Decimal:
    """The value as signals carry it: in [0, 1], six decimals."""
    return rounded(min(max(value, Fraction(0)), Fraction(1)))


def rounded(value: Fraction, digits: int = DIGITS) -> Decimal:
    """To so many decimals, halves away from 0, without ever passing through a binary number."""
    steps = abs(value) * 10**digits
    whole = (2 * steps.numerator + steps.denominator) // (2 * steps.denominator)
    return Decimal(whole if value >= 0 else -whole).scaleb(-digits)


def exact(value: Fraction) -> str:
    """Decimal text of a fraction whose denominator is a product of twos and fives, as all here are."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    return f"{Decimal((value * 10**digits).numerator).scaleb(-digits):f}"
