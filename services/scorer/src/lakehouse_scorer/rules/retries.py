"""How smoothly the run went."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.scale import on_scale
from opscore.domain.signal import Signal
from opscore.ports.event_log import RunFacts


def retries(facts: RunFacts) -> Signal:
    """1 / (1 + failures + losses)."""
    trouble = facts.failures + facts.losses
    evidence = {"failures": facts.failures, "losses": facts.losses}
    return Signal("retries", on_scale(Decimal(1) / (1 + trouble)), evidence)
