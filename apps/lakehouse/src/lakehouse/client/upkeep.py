"""Whether the control plane's house is kept: dead rows, stuck leases, partitions, seals, followers, clocks.

Called by `examining`. Judges what `UpkeepRpc.upkeep` answered; limits are (warn above, fail above).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse.client.finding import FAIL, OK, WARN, Finding, graded
from opscore.ports.people import Json

DEAD_ROWS = (100_000, 1_000_000)
STUCK_LEASES = (0, 0)
CLOCK_OFFSET_S = (2.0, 30.0)
LAG_S = (60.0, 600.0)
OVERDUE_S = (86_400.0, 7 * 86_400.0)

VACUUM = "Autovacuum does not keep up: look for a long transaction in pg_stat_activity, else `vacuum` the table."
NO_RESCUE = "Nobody takes dead executors' runs back: is a dispatcher alive, and does it reach the database?"
CLOCKS = "Let NTP set this machine's clock. Leases go by the database's clock, so nothing is lost meanwhile."
NO_PARTITION = "The dispatcher makes partitions ahead: see its log. Without one, appends fail."
GONE = "Somebody dropped them by hand: restore them, or see what `lakehouse event verify` says."
KEPT = "What is unsealed, or behind a follower that is gone, is kept: see `sealing` and `followers`."
NOT_SEALING = "The dispatcher seals settled events: see its log, or end the transaction that keeps them unsettled."
NOT_FOLLOWING = "Start the service, or see its log: retention waits for it."


def judge(upkeep: Json, asked_at: float, answered_at: float) -> list[Finding]:
    """All findings. asked_at, answered_at: this machine's clock around the question, epoch seconds."""
    return [
        _dead_rows(upkeep["tables"] or {}),
        _stuck_leases(upkeep["stuck_leases"]),
        _clock(float(upkeep["now"]), asked_at, answered_at),
        *_shift(float(upkeep["clock_shift_s"])),
        _partitions(upkeep),
        _retention(upkeep["retention_overdue_s"]),
        _lag("sealing", upkeep["sealing"]["lag_s"], f"{upkeep['sealing']['n']} batches", NOT_SEALING),
        *[_lag(f"follower {name}", lag, "", NOT_FOLLOWING) for name, lag in sorted(upkeep["followers"].items())],
    ]


def _dead_rows(tables: Mapping[str, Mapping[str, Any]]) -> Finding:
    counts = {name: table["dead"] for name, table in tables.items()}
    worst = max(counts, key=lambda name: counts[name], default="")
    dead = counts.get(worst, 0)
    detail = f"at most {dead} in a hot table" + (f" ({worst})" if dead else "")
    return graded("dead rows", dead, DEAD_ROWS, detail, VACUUM)


def _stuck_leases(stuck: int) -> Finding:
    return graded("leases", stuck, STUCK_LEASES, f"{stuck} ran out and were not taken back", NO_RESCUE)


def _clock(server: float, asked_at: float, answered_at: float) -> Finding:
    """The offset is only known to within the round trip: what that explains is no offset."""
    offset = 0.0 if asked_at <= server <= answered_at else min(server - answered_at, server - asked_at, key=abs)
    detail = f"the database is {abs(offset):.3f} s {'ahead' if offset > 0 else 'behind'}" if offset else "they agree"
    return graded("clock", abs(offset), CLOCK_OFFSET_S, detail, CLOCKS)


def _shift(seconds: float) -> list[Finding]:
    if not seconds:
        return []
    return [Finding("moved clock", WARN, f"ops.clock is {seconds:.0f} s off on purpose", "For tests and demos only.")]


def _partitions(upkeep: Json) -> Finding:
    if upkeep["partitions_gone"]:
        return Finding("partitions", FAIL, f"missing: {', '.join(upkeep['partitions_gone'])}", GONE)
    room, rows = upkeep["partition_room"] or 0, upkeep["partition_rows"]
    result = FAIL if room < rows / 2 else WARN if room < rows else OK
    return Finding("partitions", result, f"room for {room} more events", "" if result == OK else NO_PARTITION)


def _retention(overdue: float | None) -> Finding:
    late = max(float(overdue or 0), 0.0)
    detail = f"{late / 86_400:.1f} days late" if late else "nothing is overdue"
    return graded("retention", late, OVERDUE_S, detail, KEPT)


def _lag(check: str, lag: float | None, more: str, remedy: str) -> Finding:
    seconds = max(float(lag or 0), 0.0)
    detail = ", ".join(part for part in (more, f"{seconds:.0f} s behind" if seconds else "up to date") if part)
    return graded(check, seconds, LAG_S, detail, remedy)
