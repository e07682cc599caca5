"""`lakehouse sql`: one statement, as a run that leaves its result as an artifact."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio
import click

from lakehouse.cli.base import Verb, asynchronous, output, say
from lakehouse.cli.exits import Exit, of_run
from lakehouse.cli.faults import MACHINE_FORMATS, report

if TYPE_CHECKING:
    from uuid import UUID

    from lakehouse.client import Lakehouse

DEFAULT_ENGINE = "duckdb"
ENGINE = "engine:"  # what an executor's capability for an engine starts with
SHOW_TABLES = re.compile(r"\s*show\s+(all\s+)?tables\s*;?\s*", re.IGNORECASE)
ENDED = frozenset({"succeeded", "failed", "canceled"})


@click.command(cls=Verb)
@click.argument("statement")
@click.option("--engine", type=click.Choice(["duckdb", "trino", "spark"]), default=DEFAULT_ENGINE, show_default=True)
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

    Decimals are printed as exact text. `query_id` names the run; `lakehouse query show` finds it again. `show tables`
    lists what is published, without a run.
    """
    from lakehouse.cli.waits import explain  # noqa: PLC0415 - only commands that connect pay for it
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        if SHOW_TABLES.fullmatch(statement) and as_of is None:
            _show(published(await lakehouse.people.tables(), limit))
            return Exit.OK
        await _refuse_missing(lakehouse, engine)
        run_id = await lakehouse.start("query", {"sql": statement, "engine": engine, "limit": limit, "as_of": as_of})
        run = await _end_of(lakehouse, run_id, timeout)
        if run["state"] not in ENDED:
            return _give_up(run, await lakehouse.people.run(run_id), timeout)
        code = explain(run, timeout)
        if code is Exit.OK:
            _show(await lakehouse.result(run))
    return code


def published(tables: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Tables of the lake in the shape of a result; no run answered it, so there is no `query_id`."""
    columns = [{"name": "table", "type": "string"}, {"name": "rows", "type": "long"}]
    rows = [[table["name"], table["rows"]] for table in tables[:limit]]
    truncated = len(rows) < len(tables)
    return {"columns": columns, "rows": rows, "row_count": len(rows), "truncated": truncated, "query_id": None}


async def _refuse_missing(lakehouse: Lakehouse, engine: str) -> None:
    """No executor need be up for the default engine: the statement waits for one. Another engine has to be offered."""
    if engine == DEFAULT_ENGINE:
        return
    capabilities = {name for one in await lakehouse.people.executors() if one["alive"] for name in one["capabilities"]}
    offered = {name.removeprefix(ENGINE) for name in capabilities if name.startswith(ENGINE)} | {DEFAULT_ENGINE}
    if engine not in offered:
        from opscore.domain.errors import InvalidInput  # noqa: PLC0415

        raise InvalidInput(
            f"No executor that is alive runs statements on {engine}.",
            hint=f"There is {', '.join(sorted(offered))}: `--engine {DEFAULT_ENGINE}`, or leave --engine out.",
        )


async def _end_of(
    lakehouse: Lakehouse,
    run_id: UUID,
    timeout: float,  # noqa: ASYNC109 - it is the command's
) -> dict[str, Any]:
    """The run as it was when it ended or time was up; a statement that nobody waits for any more is canceled."""
    from lakehouse.cli.waits import wait_for  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    ended = False
    try:
        [run] = await wait_for(lakehouse, run_id, timeout=timeout, scored=False)
        ended = run["state"] in ENDED
    finally:
        if not ended:
            with anyio.CancelScope(shield=True):
                await lakehouse.people.cancel_run(run_id, by=whoami(), reason="nobody waits for it any more")
    return run


def _give_up(waited: dict[str, Any], now: dict[str, Any], timeout: float) -> Exit:
    """Say that time was up. waited: the run as it was then, which is the exit code's matter. now: after the cancel."""
    from lakehouse.output.wait_words import waits_for  # noqa: PLC0415

    reason = waits_for(waited["wait_reason"])
    waiting = f", waiting for {reason}" if reason else ""
    outcome = "it was canceled" if now["state"] == "canceled" else "its executor was told to stop it"
    fault = {
        "code": "CAP_EXCEEDED" if waited["state"] == "held" else "TIMED_OUT",
        "message": f"The statement was {waited['state']} after {timeout:g} s{waiting}; {outcome}.",
        "hint": f"--timeout gives it more time; `lakehouse query show {now['id']}` shows what became of it.",
    }
    report(fault, as_json=output().wanted in MACHINE_FORMATS, title="Not ended")
    return of_run(waited)


def _show(result: dict[str, Any]) -> None:
    names = [column["name"] for column in result["columns"]]
    output().grid(result, names, result["rows"])
    if result["truncated"]:
        say(f"Only the first {result['row_count']} rows are shown; --limit shows more.")
