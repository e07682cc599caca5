"""Waiting for runs as commands do it: a bar on a terminal, the run on stdout, the exit code of its end.

Used by `pipeline run --wait`, `run watch` and `sql`.
"""

from __future__ import annotations

from uuid import UUID

import click

from lakehouse.cli.base import say
from lakehouse.cli.exits import Exit, of_run
from lakehouse.client import Lakehouse
from lakehouse.client.waiting import SCORE_PATIENCE_S, Patience
from lakehouse.output.progress import progress
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
    """Say on stderr why a run is not a success, and return its exit code."""
    code = of_run(run)
    match code:
        case Exit.RUN_FAILED | Exit.GATE_BLOCKED:
            _explain_end(run)
        case Exit.HELD:
            reason = run["wait_reason"] or {}
            say(
                f"Run {run['id']} is held by cap {reason.get('cap')}: {reason.get('used')} of {reason.get('limit')} "
                f"{reason.get('unit')} in use. It starts by itself when room frees up."
            )
        case Exit.TIMEOUT:
            say(f"Run {run['id']} is {run['state']} after {timeout:g} s and goes on. `lakehouse run watch {run['id']}`")
        case _:
            pass
    return code


def _explain_end(run: Json) -> None:
    error = run["error"]
    if error is None:
        say(f"Run {run['id']} of {run['pipeline']} was canceled.")
        return
    say(f"{click.style('Failed', fg='red', bold=True)}: {run['pipeline']}: {error['message']}")
    if error["hint"]:
        say(f"  {error['hint']}")
    for check in (check for check in run["checks"] if check["result"] in {"fail", "error"}):
        where = check["dataset"] + (f".{check['column']}" if check["column"] else "")
        keys = ", ".join(str(key) for key in check["sample_keys"])
        found = f"{check['value']} (allowed {check['threshold']})" if check["value"] is not None else "not evaluated"
        say(f"  check {check['name']} on {where}: {found}" + (f"; first bad keys: {keys}" if keys else ""))
