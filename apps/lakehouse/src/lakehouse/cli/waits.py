"""Waiting for runs as commands do it: a bar on a terminal, the run on stdout, the exit code of its end.

Used by `pipeline run --wait`, `run watch` and `sql`.
"""

from __future__ import annotations

from uuid import UUID

from lakehouse.cli.base import output
from lakehouse.cli.exits import Exit, of_run
from lakehouse.cli.faults import MACHINE_FORMATS, report
from lakehouse.client import Lakehouse
from lakehouse.client.waiting import SCORE_PATIENCE_S, Patience
from lakehouse.output.progress import progress
from lakehouse.output.wait_words import in_full
from opscore.ports.people import Json


async def wait_for(
    lakehouse: Lakehouse,
    run_id: UUID,
    *,
    timeout: float | None,  # noqa: ASYNC109 - it is the command's
    chain: bool = False,
    scored: bool = True,
) -> list[Json]:
    """The runs as they stand at the end, or when the timeout (seconds, None for none) is over.

    scored: whether their scores, which come a moment later, are waited for as well.
    """
    patience = Patience(timeout, SCORE_PATIENCE_S if scored else 0.0)
    with progress() as watcher:

        def saw(runs: list[Json]) -> None:
            for run in runs:
                watcher.saw(run)

        return await lakehouse.wait(run_id, chain=chain, patience=patience, saw=saw)


def explain(run: Json, timeout: float | None) -> Exit:
    """Say on stderr why a run is not a success, and return its exit code. timeout: how long it was waited for."""
    code = of_run(run)
    if code is not Exit.OK:
        title = "Failed" if code in {Exit.RUN_FAILED, Exit.GATE_BLOCKED} else "Not ended"
        as_json = output().wanted in MACHINE_FORMATS
        report(_fault(run, code, timeout), as_json=as_json, title=title, details=_bad_checks(run))
    return code


def _fault(run: Json, code: Exit, timeout: float | None) -> dict[str, str | None]:
    name, run_id = run["pipeline"], run["id"]
    if code is Exit.HELD:
        hint = f"It starts by itself when room frees up: `lakehouse run watch {run_id}`"
        return {"code": "CAP_EXCEEDED", "message": f"{name} is held by {in_full(run['wait_reason'])}.", "hint": hint}
    if code is Exit.TIMEOUT:
        waits = f", waits for {in_full(run['wait_reason'])}" if run["wait_reason"] else ""
        message = f"{name} is {run['state']} after {timeout or 0:g} s{waits}, and goes on."
        return {"code": "TIMED_OUT", "message": message, "hint": f"`lakehouse run watch {run_id}` goes on waiting."}
    if run["error"] is None:
        return {"code": "CANCELED", "message": f"{name} was canceled.", "hint": f"`lakehouse run retry {run_id}`"}
    return {**run["error"], "message": f"{name}: {run['error']['message']}"}


def _bad_checks(run: Json) -> list[str]:
    lines: list[str] = []
    for check in (check for check in run["checks"] if check["result"] in {"fail", "error"}):
        where = check["dataset"] + (f".{check['column']}" if check["column"] else "")
        keys = ", ".join(str(key) for key in check["sample_keys"])
        found = f"{check['value']} (allowed {check['threshold']})" if check["value"] is not None else "not evaluated"
        lines.append(f"check {check['name']} on {where}: {found}" + (f"; first bad keys: {keys}" if keys else ""))
    return lines
