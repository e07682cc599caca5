"""What the checks of the last attempt found."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.scale import on_scale
from opscore.domain.signal import Signal
from opscore.ports.event_log import RunFacts


def quality(facts: RunFacts) -> Signal | None:
    """Share of checks that passed, a warning counting half; None without checks."""
    checks = facts.checks_passed + facts.checks_warned + facts.checks_failed
    if not checks:
        return None
    good = facts.checks_passed + Decimal(facts.checks_warned) / 2
    evidence = {"passed": facts.checks_passed, "warned": facts.checks_warned, "failed": facts.checks_failed}
    return Signal("quality", on_scale(good / checks), evidence)
