"""Whether the tables that the run published still have the columns they had."""

from __future__ import annotations

from opscore.domain.signal import Signal, by_change
from opscore.ports.event_log import RunFacts


def drift(facts: RunFacts) -> Signal | None:
    """Share of tables whose columns did not change; None when none was published before."""
    return Signal("drift", *by_change(facts.tables_known, facts.tables_changed)) if facts.tables_known else None
