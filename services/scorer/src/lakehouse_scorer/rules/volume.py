"""Whether the run wrote about as many rows as its pipeline usually writes."""

from __future__ import annotations

from decimal import Decimal

from lakehouse_scorer.rules.scale import is_comparable, on_scale
from opscore.domain.signal import Signal
from opscore.ports.event_log import RunFacts


def volume(facts: RunFacts) -> Signal | None:
    """The smaller over the larger of rows written and their usual number: half and double are both 0.5.

    None while nothing is usual yet, when the usual number is 0, and for runs that did not succeed.
    """
    if not is_comparable(facts) or not facts.usual_rows:
        return None
    rows = Decimal(facts.rows_added)
    ratio = min(rows, facts.usual_rows) / max(rows, facts.usual_rows)
    evidence = {"rows": facts.rows_added, "usual_rows": str(facts.usual_rows), "earlier_runs": facts.earlier_runs}
    return Signal("volume", on_scale(ratio), evidence)
