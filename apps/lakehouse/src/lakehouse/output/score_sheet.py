"""A score on one screen for a person: one bar per signal. Used by `score show` when a table is wanted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

WIDTH = 20
FULL, EMPTY = "█", "░"
WORDS = {
    "outcome": "{state}",
    "share": "{passed} passed, {warned} warned, {failed} failed",
    "reciprocal": "{failures} failures, {losses} losses",
    "streak": "{streak} failures in a row",
    "unchanged": "{changed} of {tables} tables changed their columns",
    "median_mad": "{observed} {unit}, usually {median} ± {scale}: {deviations} deviations",
    "deadline": "nothing succeeded by {deadline}",
}


def print_score(score: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> None:
    """The score, then its parts, those that take most first. verdict: as `client.scoring.verified` answers."""
    _line(f"Run       {score['run_id']}")
    _line(f"Pipeline  {score['pipeline']}")
    _line(f"Score     {score['score']} of 100, weights version {score['weights_version']}\n")
    for part in score["parts"]:
        _line(f"{part['signal']:<15} {bar(part['value'])} {_lost(part['lost']):>7}  {told(part['evidence'])}")
    if verdict is not None:
        _line(f"\n{spoken(verdict)}")
        for difference in verdict["differences"]:
            _line(f"  {difference}")


def bar(value: str) -> str:
    """A value in [0, 1] as a picture: full only at 1, empty only at 0."""
    filled = int(Decimal(value) * WIDTH)
    if Decimal(value) > 0:
        filled = max(filled, 1)
    return FULL * filled + EMPTY * (WIDTH - filled)


def told(evidence: Mapping[str, Any]) -> str:
    """The numbers behind a signal in words; as they are where no statistic is named."""
    words = WORDS.get(str(evidence.get("statistic")))
    return words.format(**evidence) if words else ", ".join(f"{key} {value}" for key, value in evidence.items())


def spoken(verdict: Mapping[str, Any]) -> str:
    """Whether the score holds, in a sentence."""
    if not verdict["match"]:
        return f"Not verified: recomputed, the score is {verdict['recomputed']}."
    rest = f" (without {', '.join(verdict['unproven'])}: no statistic named)" if verdict["unproven"] else ""
    return f"Verified: signals and score were found again to the digit{rest}."


def _lost(points: str) -> str:
    return f"-{points}" if Decimal(points) else ""


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
