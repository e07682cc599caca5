"""A stored score taken apart and recomputed. Used by `score show`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from opscore.domain.statistic import rounded
from opscore.domain.verification import StoredScore, verify

Json = dict[str, Any]


def breakdown(found: Mapping[str, Any]) -> Json:
    """The score, and its parts: [{signal, value, weight, points, lost, evidence}].

    points: what the signal gives to the score; lost: what it takes from 100. The signals that take most come first.
    """
    inputs = {name: (Decimal(part["value"]), Decimal(part["weight"])) for name, part in found["inputs"].items()}
    total = sum((weight for _, weight in inputs.values()), Decimal(0))
    parts = [
        _part(name, value, weight, total, found["signals"].get(name, {}).get("evidence", {}))
        for name, (value, weight) in inputs.items()
    ]
    parts.sort(key=lambda part: (-Decimal(part["lost"]), part["signal"]))
    kept = ("run_id", "pipeline", "score", "weights_version", "created_at")
    return {**{key: found[key] for key in kept}, "parts": parts}


def verified(found: Mapping[str, Any]) -> Json:
    """{match, recomputed, differences, unproven}: whether every digit is found again."""
    verdict = verify(
        StoredScore(
            score=Decimal(found["score"]),
            inputs={name: (Decimal(part["value"]), Decimal(part["weight"])) for name, part in found["inputs"].items()},
            signals={name: (Decimal(part["value"]), part["evidence"]) for name, part in found["signals"].items()},
            weights={name: Decimal(weight) for name, weight in found["weights"].items()},
        )
    )
    return {
        "match": not verdict.differences,
        "recomputed": None if verdict.score is None else str(verdict.score),
        "differences": list(verdict.differences),
        "unproven": list(verdict.unproven),
    }


def _part(name: str, value: Decimal, weight: Decimal, total: Decimal, evidence: Mapping[str, Any]) -> Json:
    from fractions import Fraction  # noqa: PLC0415 - slow to import for every other command

    share = Fraction(weight) / Fraction(total) * 100
    return {
        "signal": name,
        "value": str(value),
        "weight": str(weight),
        "points": str(rounded(share * Fraction(value), 2)),
        "lost": str(rounded(share * (1 - Fraction(value)), 2)),
        "evidence": dict(evidence),
    }
