"""When a failed run is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential waits with a ceiling. max_attempts counts the first one."""

    max_attempts: int = 3
    first: timedelta = timedelta(seconds=2)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=5)


def retry_delay(policy: RetryPolicy, failures: int, jitter: float) -> timedelta | None:
    """Wait before the next attempt, or None when the policy is exhausted.

    failures: attempts that failed by their own fault (losses and interruptions do not count), >= 1.
    jitter: a number in [0, 1) drawn by the caller, so that this stays pure.
    """
    if failures >= policy.max_attempts:
        return None
    ceiling = min(policy.first * policy.factor ** (failures - 1), policy.longest)
    return ceiling * (0.5 + jitter / 2)
