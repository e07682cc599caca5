"""What the scorer says about a run: numbers in [0, 1] with evidence, and their weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from opscore.domain.statistic import Yardstick, on_scale, rounded

OUTCOMES = {"succeeded": Fraction(1), "canceled": Fraction(1, 2), "failed": Fraction(0)}
LONGEST_STREAK = 5


@dataclass(frozen=True, slots=True)
class Signal:
    """name: as in `signal_weights`. value: 1 is healthy, 0 is as bad as it gets. evidence: the numbers behind it."""

    name: str
    value: Decimal
    evidence: Mapping[str, Any]


def weighted_score(signals: Iterable[Signal], weights: Mapping[str, Decimal]) -> Decimal | None:
    """Score in [0, 100], two decimals, over the signals that carry a weight; None when none does."""
    return exact_score([(each.value, weights.get(each.name, Decimal(0))) for each in signals])


def exact_score(parts: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """The same from (value, weight) pairs: one exact division, halves up, as `ops.exact_score` has it."""
    pairs = [(Fraction(value), Fraction(weight)) for value, weight in parts if weight > 0]
    total = sum((weight for _, weight in pairs), Fraction(0))
    if not total:
        return None
    return rounded(sum((value * weight for value, weight in pairs), Fraction(0)) * 100 / total, 2)


def by_outcome(state: str) -> tuple[Decimal, dict[str, Any]]:
    """1 succeeded, 0.5 canceled, 0 failed."""
    return on_scale(OUTCOMES[state]), {"statistic": "outcome", "state": state}


def by_share(passed: int, warned: int, failed: int) -> tuple[Decimal, dict[str, Any]]:
    """Share of checks that passed, a warning counting half. At least one check."""
    good = passed + Fraction(warned, 2)
    evidence = {"statistic": "share", "passed": passed, "warned": warned, "failed": failed}
    return on_scale(good / (passed + warned + failed)), evidence


def by_trouble(failures: int, losses: int) -> tuple[Decimal, dict[str, Any]]:
    """1 / (1 + failures + losses)."""
    evidence = {"statistic": "reciprocal", "failures": failures, "losses": losses}
    return on_scale(Fraction(1, 1 + failures + losses)), evidence


def by_streak(streak: int, bad_from: int = LONGEST_STREAK) -> tuple[Decimal, dict[str, Any]]:
    """1 without a failure, falling evenly to 0 at `bad_from` failures in a row."""
    evidence = {"statistic": "streak", "streak": streak, "bad_from": bad_from, "window_runs": 60}
    return on_scale(1 - Fraction(streak, bad_from)), evidence


def by_change(tables: int, changed: int) -> tuple[Decimal, dict[str, Any]]:
    """Share of tables that kept their columns. At least one table."""
    return on_scale(1 - Fraction(changed, tables)), {"statistic": "unchanged", "tables": tables, "changed": changed}


def by_deadline(deadline: str, within_seconds: int) -> tuple[Decimal, dict[str, Any]]:
    """0: nothing succeeded in time."""
    return Decimal("0.000000"), {"statistic": "deadline", "deadline": deadline, "within_seconds": within_seconds}


def by_history(evidence: Mapping[str, Any]) -> tuple[Decimal, dict[str, Any]] | None:
    """As `Yardstick.measured`, from what it wrote down."""
    history = [Decimal(each) for each in evidence["history"]]
    return Yardstick.of_evidence(evidence).measured(Decimal(evidence["observed"]), history)


STATISTICS: Mapping[str, Callable[[Mapping[str, Any]], tuple[Decimal, dict[str, Any]] | None]] = {
    "median_mad": by_history,
    "outcome": lambda known: by_outcome(known["state"]),
    "share": lambda known: by_share(known["passed"], known["warned"], known["failed"]),
    "reciprocal": lambda known: by_trouble(known["failures"], known["losses"]),
    "streak": lambda known: by_streak(known["streak"], known["bad_from"]),
    "unchanged": lambda known: by_change(known["tables"], known["changed"]),
    "deadline": lambda known: by_deadline(known["deadline"], known["within_seconds"]),
}


def recomputed(evidence: Mapping[str, Any]) -> tuple[Decimal, dict[str, Any]] | None:
    """Value and evidence, computed anew from the inputs in the evidence; None when it names no statistic we know.

    Raises KeyError, ValueError, TypeError or ArithmeticError when the inputs are not what the statistic takes.
    """
    compute = STATISTICS.get(str(evidence.get("statistic")))
    return compute(evidence) if compute else None
