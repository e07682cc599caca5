"""The phases of a run with their times, read out of its events. Used by `run show` as a table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from opscore.ports.people import Json

RESULTS = {"PHASE_SUCCEEDED": "succeeded", "PHASE_FAILED": "failed"}
BREAKS = frozenset({"RUN_REQUEUED", "RUN_FAILED", "RUN_CANCELED"})


def phases_of(events: Iterable[Json]) -> list[Json]:
    """[{attempt, phase, result, started_at, seconds}] in the order they began; result and seconds null while it runs.

    events: all of a run, in order. A phase whose attempt ended without a word of it is "interrupted".
    """
    phases: list[Json] = []
    for event in events:
        last = phases[-1] if phases and phases[-1]["result"] is None else None
        if event["type"] == "PHASE_STARTED":
            _end(last, "interrupted", event["at"])
            phases.append(_begun(event))
        elif last and event["type"] in RESULTS and event["data"].get("phase") == last["phase"]:
            _end(last, RESULTS[event["type"]], event["at"])
        elif event["type"] in BREAKS:
            _end(last, "interrupted", event["at"])
    return phases


def _begun(event: Json) -> Json:
    fixed = {"attempt": event["attempt"], "phase": event["data"].get("phase"), "result": None}
    return {**fixed, "started_at": event["at"], "seconds": None}


def _end(phase: Json | None, result: str, at: str) -> None:
    if phase is not None:
        took = datetime.fromisoformat(at) - datetime.fromisoformat(phase["started_at"])
        phase.update(result=result, seconds=round(took.total_seconds(), 3))
