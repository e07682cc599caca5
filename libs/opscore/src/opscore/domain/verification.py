"""Whether a stored score is what its inputs make it, and those what was measured. Used by `score show --verify`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from opscore.domain.signal import exact_score, recomputed


@dataclass(frozen=True, slots=True)
class StoredScore:
    """A score as it lies in the database.

    inputs: signal -> (value, weight). signals: signal -> (value, evidence). weights: the named version's.
    """

    score: Decimal
    inputs: Mapping[str, tuple[Decimal, Decimal]]
    signals: Mapping[str, tuple[Decimal, Mapping[str, Any]]]
    weights: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Verdict:
    """differences: sentences; without any, every digit was found again. unproven: signals without a named statistic."""

    score: Decimal | None
    differences: tuple[str, ...]
    unproven: tuple[str, ...]


def verify(stored: StoredScore) -> Verdict:
    """Recompute everything from the bottom up."""
    differences = [*_of_signals(stored), *_of_inputs(stored)]
    score = exact_score(stored.inputs.values())
    if score != stored.score:
        differences.append(f"the score is {stored.score}, its inputs make {score}")
    unproven = tuple(name for name, (_, evidence) in stored.signals.items() if "statistic" not in evidence)
    return Verdict(score, tuple(differences), unproven)


def _of_signals(stored: StoredScore) -> Iterator[str]:
    for name, (value, evidence) in stored.signals.items():
        try:
            anew = recomputed(evidence)
        except (KeyError, ValueError, TypeError, ArithmeticError):
            yield f"{name}: its evidence cannot be read"
            continue
        if anew is None:
            if "statistic" in evidence:
                yield f"{name}: its evidence names statistic {evidence['statistic']!r}, which does not make it"
        elif anew[0] != value:
            yield f"{name}: the value is {value}, its evidence makes {anew[0]}"
        elif dict(anew[1]) != dict(evidence):
            wrong = sorted(key for key in {*anew[1], *evidence} if anew[1].get(key) != evidence.get(key))
            yield f"{name}: its evidence contradicts itself at {', '.join(wrong)}"


def _of_inputs(stored: StoredScore) -> Iterator[str]:
    for name, (value, weight) in stored.inputs.items():
        if name not in stored.signals:
            yield f"{name}: the score counts it, but there is no such signal"
        elif stored.signals[name][0] != value:
            yield f"{name}: the score counts {value}, the signal is {stored.signals[name][0]}"
        if stored.weights.get(name) != weight:
            yield f"{name}: the score gives it weight {weight}, the version says {stored.weights.get(name)}"
    for name in stored.signals:
        if name not in stored.inputs and stored.weights.get(name, Decimal(0)) > 0:
            yield f"{name}: it has a weight, but the score leaves it out"
