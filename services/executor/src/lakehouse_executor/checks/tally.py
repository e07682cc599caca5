"""Bad things counted against the most a rule allows. Called by the checks whose rule has a `max`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from lakehouse_executor.checks.finding import Finding, first_of, within


def tally(bad: int, most: Decimal, said: str, samples: Callable[[], tuple[str, ...]]) -> Finding:
    """value: how many are bad. said: the sentence that the first sample ends; too many fetch samples, fewer do not."""
    passed = within(bad, most)
    shown = () if passed else samples()
    return Finding(
        passed=passed,
        value=Decimal(bad),
        threshold=most,
        message=f"{said}{first_of(shown)}",
        sample_keys=shown,
    )
