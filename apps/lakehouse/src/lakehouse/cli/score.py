"""`lakehouse score`: why a run has its score, and what other weights would say."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import click

from lakehouse.cli.base import Noun, asynchronous, output, say
from lakehouse.cli.exits import Exit
from lakehouse.cli.score_weights import WEIGHTS, days, number_of, weights, weights_json
from lakehouse.cli.short_id import RUN_ID
from lakehouse.output.formats import View

SCORE = View(("run_id", "pipeline", "score", "weights_version"), rows="score")
MOVERS = View(("run_id", "pipeline", "before", "after", "change", "finished_at:finished"), rows="movers")
ALERTS = View(("rule", "pipeline", "min_score", "before:alerts before", "after:alerts after"), rows="alerts")


@click.group(cls=Noun)
def score() -> None:
    """Why a run has its score, what other weights would say, and the weights themselves."""


score.add_command(weights)


@score.command()
@click.argument("named", metavar="RUN", type=RUN_ID)
@click.option(
    "--verify", is_flag=True, help="Recompute it to the digit from what was stored; exit code 1 if it differs."
)
@asynchronous
async def show(named: str, *, verify: bool) -> Exit:
    """A run's score, signal by signal, with the numbers behind each."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it
    from lakehouse.client.scoring import breakdown, verified  # noqa: PLC0415

    async with connect() as lakehouse:
        found = await lakehouse.scores.score(await lakehouse.find_run(named))
    parts, verdict = breakdown(found), verified(found) if verify else None
    if output().is_table:
        from lakehouse.output.score_sheet import print_score  # noqa: PLC0415

        print_score(parts, verdict)
    else:
        output().show({"score": parts} | ({"verified": verdict} if verdict else {}), SCORE)
    return Exit.ERROR if verdict and not verdict["match"] else Exit.OK


@score.command("what-if")
@WEIGHTS
@click.option("--proposal", type=click.UUID, metavar="ID", help="The weights of this proposal.")
@click.option("--version", type=click.IntRange(1), metavar="N", help="The weights of this version.")
@click.option("--since", type=str, default="14d", show_default=True, metavar="TIME", help="How far back: 12h, 14d.")
@click.option("--top", type=click.IntRange(0, 100), default=10, show_default=True, metavar="N", help="How many movers.")
@asynchronous
async def what_if(given: str | None, proposal: UUID | None, version: int | None, since: str, top: int) -> None:
    """What other weights would have said about the runs of that time; nothing is saved."""
    from lakehouse.client import connect  # noqa: PLC0415

    time: timedelta = days(since)
    async with connect() as lakehouse:
        chosen = await weights_json(lakehouse, given, proposal=proposal, version=version)
        answer = await lakehouse.scores.what_if(lakehouse.environment, chosen, since=time, top=top)
    if not output().is_table:
        output().show({"what_if": answer}, View((), rows="what_if"))
        return
    say(
        f"{answer['changed']} of {answer['runs']} runs would change "
        f"({answer['worse']} lower, {answer['better']} higher); "
        f"the mean goes from {number_of(answer['mean_before'])} to {number_of(answer['mean_after'])}."
    )
    if answer["movers"]:
        output().show(answer, MOVERS)
    if answer["alerts"]:
        output().show(answer, ALERTS)
    else:
        say("No rule that watches scores would have alerted, before or after.")
