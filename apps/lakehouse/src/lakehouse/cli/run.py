"""`lakehouse run`: what happened, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from lakehouse.cli.base import Noun, asynchronous, output, say
from lakehouse.cli.exits import Exit
from lakehouse.cli.short_id import RUN_ID
from lakehouse.output.formats import View

if TYPE_CHECKING:
    from lakehouse.client import Lakehouse

STATES = ("queued", "held", "claimed", "running", "succeeded", "failed", "canceled")
RUNS = View(
    (
        "id",
        "pipeline",
        "state",
        "phase",
        "attempt",
        "score",
        "created_at:created",
        "finished_at:finished",
        "waits_for:waits for",
    ),
    empty="No run matches. `lakehouse pipeline run NAME` starts one.",
)
ONE = View((), rows="run")
RUN = click.argument("named", metavar="ID", type=RUN_ID)


@click.group(cls=Noun)
def run() -> None:
    """List, show, watch, retry, cancel and roll back runs."""


@run.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@click.option("--pipeline", metavar="P", help="Only runs of this pipeline.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N")
@click.option("--after", metavar="CURSOR", help="The `next` of the page before.")
@asynchronous
async def list_runs(state: str | None, pipeline: str | None, limit: int, after: str | None) -> None:
    """Runs, newest first, a page at a time."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        page = await lakehouse.people.runs(
            lakehouse.environment, state=state, pipeline=pipeline, limit=limit, after=after
        )
    output().show({"items": _spoken(page.items), "next": page.next}, RUNS)
    if page.next and output().is_table:
        say(f"There are more: --after {page.next}")


@run.command()
@RUN
@asynchronous
async def show(named: str) -> None:
    """One run with its checks, tables, score and error."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        run_id = await lakehouse.find_run(named)
        await _show(lakehouse, await lakehouse.people.run(run_id))


@run.command()
@RUN
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="How long to wait; without it, to the end.")
@asynchronous
async def watch(named: str, timeout: float | None) -> Exit:  # noqa: ASYNC109 - it is the command's
    """Follow a run to its end; with `-o jsonl`, one line for every change. Exit codes as `pipeline run --wait`."""
    from lakehouse.cli.waits import explain, wait_for  # noqa: PLC0415
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.waiting import Patience  # noqa: PLC0415

    async with connect() as lakehouse:
        run_id = await lakehouse.find_run(named)
        if output().format == "jsonl":
            patience = Patience(timeout)
            [ended] = await lakehouse.wait(run_id, patience=patience, saw=lambda runs: output().line({"run": runs[0]}))
        else:
            [ended] = await wait_for(lakehouse, run_id, timeout=timeout)
            await _show(lakehouse, ended)
    return explain(ended, timeout)


@run.command()
@RUN
@asynchronous
async def retry(named: str) -> None:
    """Put a failed or canceled run back into the queue; finished phases are not done again."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        run_id = await lakehouse.find_run(named)
        await lakehouse.people.retry_run(run_id, by=whoami())
        await _show(lakehouse, await lakehouse.people.run(run_id))


@run.command()
@RUN
@click.option("--reason", metavar="TEXT", help="Why; it stands in the run's events.")
@asynchronous
async def cancel(named: str, reason: str | None) -> None:
    """Ask for a run's end: at once when nobody works on it, else as soon as its executor hears of it.

    A run that has ended stays as it is; the answer is the run, as always, and a sentence says so.
    """
    from lakehouse.cli.ending import cancel_run  # noqa: PLC0415
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        run_id = await lakehouse.find_run(named)
        await _show(lakehouse, await cancel_run(lakehouse, run_id, reason))


@run.command()
@RUN
@click.option("--reason", metavar="TEXT", default="rolled back by hand", help="Why; it stands in the run's events.")
@asynchronous
async def rollback(named: str, reason: str) -> None:
    """Return every table that a run published to the version before it, in one step."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.person import whoami  # noqa: PLC0415

    async with connect() as lakehouse:
        run_id = await lakehouse.find_run(named)
        tables = await lakehouse.people.rollback_run(run_id, by=whoami(), reason=reason)
        say(f"{tables} tables are back at the version before run {run_id}.")
        await _show(lakehouse, await lakehouse.people.run(run_id))


def _spoken(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For people, a run that was rolled back says so where its state stands, and one that waits says for what."""
    if not output().is_table:
        return runs
    from lakehouse.output.run_sheet import spoken_state  # noqa: PLC0415 - rich is slow to import
    from lakehouse.output.wait_words import waits_for  # noqa: PLC0415

    return [{**run, "state": spoken_state(run), "waits_for": waits_for(run["wait_reason"]) or None} for run in runs]


async def _show(lakehouse: Lakehouse, run: dict[str, Any]) -> None:
    if not output().is_table:
        output().show({"run": run}, ONE)
        return
    from lakehouse.client.phases import phases_of  # noqa: PLC0415
    from lakehouse.client.tailing import TailOfRun, everything  # noqa: PLC0415
    from lakehouse.output.run_sheet import print_run  # noqa: PLC0415

    events = await everything(TailOfRun(lakehouse.people, UUID(run["id"])))
    print_run(run, phases_of(events))
