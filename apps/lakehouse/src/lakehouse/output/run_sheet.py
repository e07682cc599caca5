"""A run on one screen for a person. Used by the commands that show one run, when a table is wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lakehouse.output.formats import View, as_json
from lakehouse.output.tables import cell, print_table
from lakehouse.output.wait_words import in_full, waits_for

Json = Mapping[str, Any]

PHASES = View(("phase", "attempt", "result", "started_at:started", "seconds"))
CHECKS = View(("result", "name:check", "dataset", "column", "value", "threshold:allowed", "sample_keys:first bad keys"))
TABLES = View(("name", "rows_added", "snapshot_id"))
WIDTH = 10
LONGEST_SECTION = 40
ENDS = (("failures", "failed"), ("losses", "lost"), ("interruptions", "interrupted"))
WORST_FIRST = ("error", "fail", "warn", "pass")


def print_run(run: Json, phases: Sequence[Json]) -> None:
    """Facts, error, phases, checks (the worst first) and tables. phases: as `client.phases.phases_of` answers."""
    for name, value in _facts(run):
        _line(f"{name:<{WIDTH}}  {value}")
    checks = sorted(map(_check, run["checks"]), key=lambda check: WORST_FIRST.index(check["result"]))
    _section("Phases", phases, PHASES)
    _section("Checks", checks, CHECKS)
    _section("Tables", run["tables"], TABLES)


def spoken_state(run: Json) -> str:
    """The run's state; a run that was rolled back says so."""
    return f"{run['state']}, rolled back" if run["rolled_back_at"] else run["state"]


def _facts(run: Json) -> Iterator[tuple[str, str]]:
    yield "Run", run["id"]
    yield "Pipeline", run["pipeline"]
    yield "State", _state(run)
    if run["wait_reason"]:
        yield "Waits for", in_full(run["wait_reason"])
    yield "Score", _said(run["score"] if run["finished_at"] else None)  # that of an attempt before says nothing yet
    yield "Attempts", _attempts(run)
    yield "Created", _said(run["created_at"])
    yield "Started", _said(run["started_at"])
    yield "Finished", _said(run["finished_at"])
    yield "Params", as_json(run["params"])
    if run["cancel_request"]:
        yield "Cancel", _canceled(run)
    if run["error"]:
        yield "Error", f"{run['error']['code']}: {run['error']['message']}"
        yield "", run["error"]["hint"]


def _state(run: Json) -> str:
    words = run["state"] if run["phase"] is None or run["finished_at"] else f"{run['state']} {run['phase']}"
    if run["rolled_back_at"]:
        words += f", rolled back at {_said(run['rolled_back_at'])}: readers see the version before it"
    if run["quarantined"]:
        words += ", quarantined: it is not tried again by itself"
    if run["state"] == "held":
        words += f" by {waits_for(run['wait_reason'])}"
    return words


def _canceled(run: Json) -> str:
    request, end = run["cancel_request"], run["cancel"]
    words = f"asked for by {request['by']} at {_said(request['at'])}"
    words += f": {request['reason']}" if request["reason"] else ""
    ends = {
        "confirmed": "its work has stopped" if run["started_at"] else "it had not begun",
        "presumed": "its executor was lost, so its work is presumed to have stopped",
    }
    return f"{words}; {ends[end]}" if end in ends else words


def _attempts(run: Json) -> str:
    told = [f"{run[name]} {word}" for name, word in ENDS if run[name]]
    return f"{run['attempt']} ({', '.join(told)})" if told else str(run["attempt"])


def _check(check: Json) -> Json:
    keys = ", ".join(str(key) for key in check["sample_keys"])
    return {**check, "sample_keys": keys or None}


def _said(value: Any) -> str:
    return cell(value).plain


def _section(title: str, rows: Sequence[Json], view: View) -> None:
    if not rows:
        return
    _line(f"\n{title}")
    print_table(rows[:LONGEST_SECTION], view)
    if len(rows) > LONGEST_SECTION:
        _line(f"… and {len(rows) - LONGEST_SECTION} more: `-o json` prints all.")


def _line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
