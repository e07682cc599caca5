"""Why a run waits, in words. Used wherever a run that does not run yet is shown.

A reason is the `wait_reason` of a run: why (cap, slots, no_executor, not_due, paused), and what goes with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Reason = Mapping[str, Any]

NAMED_HOLDERS = 2
SPANS = ((86_400, "d"), (3600, "h"), (60, "min"))


def waits_for(reason: Reason | None) -> str:
    """What a run waits for, in a few words; empty when it does not wait."""
    reason = reason or {}
    match reason.get("why", "cap" if "cap" in reason else None):
        case "cap":
            return f"cap {reason.get('cap')} ({reason.get('used')} of {reason.get('limit')} in use)"
        case "not_due":
            return f"its time, {_moment(reason['due_at'])}"
        case "paused":
            return f"the end of a pause by {reason.get('by')}: {reason.get('reason')}"
        case "no_executor":
            return f"an executor with {', '.join(reason.get('requires') or ['free slots'])}: {_why_none(reason)}"
        case "slots":
            return "a free slot"
        case _:
            return ""


def _why_none(reason: Reason) -> str:
    if draining := reason.get("draining"):
        return f"{', '.join(draining)} is being drained (`lakehouse executor undrain {draining[0]}`)"
    return f"none of {reason['alive']} alive offers it" if reason.get("alive") else "none is alive"


def in_full(reason: Reason | None) -> str:
    """The same with all that is known: what is counted, who uses it, when room comes, the place in the queue."""
    return "; ".join([waits_for(reason), *_details(reason or {})])


def span(seconds: int) -> str:
    """A length of time in its largest whole unit: 1 h, 90 min, 45 s."""
    unit, name = next(((unit, name) for unit, name in SPANS if seconds % unit == 0), (1, "s"))
    return f"{seconds // unit} {name}"


def _details(reason: Reason) -> Iterator[str]:
    if "limit" in reason:
        yield from _of_cap(reason)
    if "position" in reason:
        behind = f" of {reason['waiting']}" if "waiting" in reason else " or further"
        yield f"place {reason['position']}{behind}"


def _of_cap(reason: Reason) -> Iterator[str]:
    unit = reason.get("unit")
    if reason.get("needs", 0) > reason["limit"]:
        yield f"it asks for {reason['needs']} {unit}, more than the cap ever allows"
    window = f" per {span(reason['window_seconds'])}" if "window_seconds" in reason else ""
    yield f"counted in {unit}{window}"
    if reason.get("holders"):
        yield f"used by {_runs(reason['holders'])}"
    if "frees_at" in reason:
        yield f"the first of it is free again at {_moment(reason['frees_at'])}"


def _runs(holders: Sequence[str]) -> str:
    named = ", ".join(holder[:8] for holder in holders[:NAMED_HOLDERS])
    more = len(holders) - NAMED_HOLDERS
    return f"run {named}" + (f" and {more} more" if more > 0 else "")


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
