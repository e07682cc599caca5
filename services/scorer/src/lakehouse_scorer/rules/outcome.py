"""How the run ended."""

from __future__ import annotations

from decimal import Decimal

from opscore.domain.run import RunState
from opscore.domain.signal import Signal
from opscore.ports.event_log import RunFacts

VALUES = {RunState.SUCCEEDED: Decimal(1), RunState.CANCELED: Decimal("0.5"), RunState.FAILED: Decimal(0)}


def outcome(facts: RunFacts) -> Signal:
    """1 succeeded, 0.5 canceled, 0 failed."""
    return Signal("outcome", VALUES[RunState(facts.state)], {"state": facts.state})
