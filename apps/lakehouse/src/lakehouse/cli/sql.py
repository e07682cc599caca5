"""`lakehouse sql`: one statement, as a run that leaves its result as an artifact."""

from __future__ import annotations

from typing import Any

import anyio
import click

from lakehouse.cli.base import Verb, asynchronous, output, say
from lakehouse.cli.exits import Exit

ENDED = frozenset({"succeeded", "failed", "canceled"})


@click.command(cls=Verb)
@click.argument("statement")
@click.option("--engine", type=click.Choice(["duckdb", "trino", "spark"]), default="duckdb", show_default=True)
@click.option(
    "--as-of",
    metavar="SNAPSHOT_OR_TIME",
    help="Read the past: a time, a snapshot id (one table), or table=snapshot,table=snapshot.",
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, metavar="N")
@click.option("--timeout", type=click.FloatRange(min=0), default=300, show_default=True, metavar="S")
@asynchronous
async def sql(
    statement: str,
    engine: str,
    as_of: str | None,
    limit: int,
    timeout: float,  # noqa: ASYNC109 - it is the command's
) -> Exit:
    """Run one SQL statement over the lake's tables: `select * from gold.revenue_by_month`.

    Decimals are printed as exact text. `query_id` names the run; `lakehouse query show` finds it again.
    """
    from lakehouse.cli.waits import explain, wait_for  # noqa: PLC0415 - only commands that connect pay for it
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    params = {"sql": statement, "engine": engine, "limit": limit, "as_of": as_of}
    async with connect() as lakehouse:
        run_id = await lakehouse.start("query", params)
        runs: list[dict[str, Any]] = []
        try:
            runs = await wait_for(lakehouse, run_id, timeout=timeout, scored=False)
        finally:
            if not runs or runs[0]["state"] not in ENDED:
                with anyio.CancelScope(shield=True):
                    await lakehouse.people.cancel_run(run_id, by=whoami(), reason="nobody waits for it any more")
        code = explain(runs[0], timeout)
        if code is Exit.OK:
            _show(await lakehouse.result(runs[0]))
    return code


def _show(result: dict[str, Any]) -> None:
    names = [column["name"] for column in result["columns"]]
    output().grid(result, names, result["rows"])
    if result["truncated"]:
        say(f"Only the first {result['row_count']} rows are shown; --limit shows more.")
