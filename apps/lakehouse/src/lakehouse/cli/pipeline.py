"""`lakehouse pipeline`: specs in, runs out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lakehouse.cli.base import Noun, Verb, asynchronous, output, pairs, say
from lakehouse.cli.cap import ESTIMATE, LABELS, estimated
from lakehouse.cli.exits import Exit, of_runs
from lakehouse.output.formats import View

PIPELINES = View(
    ("name", "layer", "owner", "schedule.cron:schedule", "bundle", "updated_at:updated"),
    empty="No pipeline is applied yet: `lakehouse pipeline apply FILE` adds one, `lakehouse demo` three.",
)
FAULTS = View(("file", "line", "message", "hint"), rows="errors")
APPLIED = View(("name", "bundle", "changed"))
SHOWN = View(("name", "layer", "owner", "phases", "after", "bundle", "spec.params:parameters", "files"))
RUN = View(("id", "pipeline", "state", "phase", "attempt", "score", "created_at:created"), rows="run")
FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


class Run(Verb):
    """`--wait` stands alone or takes a value with `=`; the word behind it is never its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, the bare option spelled out."""
        return super().parse_args(ctx, ["--wait=run" if word == "--wait" else word for word in args])


@click.group(cls=Noun)
def pipeline() -> None:
    """List, show, validate, apply and run pipelines."""


@pipeline.command("list")
@asynchronous
async def list_pipelines() -> None:
    """Pipelines and the bundle each has now."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    async with connect() as lakehouse:
        output().show({"items": await lakehouse.people.pipelines(lakehouse.environment)}, PIPELINES)


@pipeline.command()
@click.argument("name")
@asynchronous
async def show(name: str) -> None:
    """One pipeline with its spec, its parameters and the files it brought."""
    from lakehouse.client import connect  # noqa: PLC0415

    async with connect() as lakehouse:
        output().show({"items": [await lakehouse.people.pipeline(lakehouse.environment, name)]}, SHOWN)


@pipeline.command()
@FILES
@click.option("--quiet", is_flag=True, help="Print nothing when all is well.")
@asynchronous
async def validate(files: tuple[Path, ...], *, quiet: bool) -> Exit:
    """Judge specs line by line, with all the files they name, as `apply` would.

    The control plane is asked only when `after` names a pipeline that none of the folders has.
    """
    from lakehouse.client.judging import judge  # noqa: PLC0415 - a validator is slow to import

    faults = [fault.as_json() for fault in await judge(files)]
    if faults or not quiet:
        _show_verdict(faults)
    return Exit.USAGE if faults else Exit.OK


@pipeline.command()
@FILES
@asynchronous
async def apply(files: tuple[Path, ...]) -> Exit:
    """Make specs, with their SQL, the present versions of their pipelines: all of them, or none when one is faulty."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.applying import apply_bundles  # noqa: PLC0415
    from opscore.specs import bundle, validate_files  # noqa: PLC0415

    async with connect() as lakehouse:
        known = [one["name"] for one in await lakehouse.people.pipelines(lakehouse.environment)]
        faults = [fault.as_json() for fault in validate_files(files, known=known)]
        if faults:
            _show_verdict(faults)
            return Exit.USAGE
        bundles = [bundle(file) for file in files]
        applied = await apply_bundles(lakehouse, bundles)
    if timed := [one.spec["name"] for one in bundles if one.spec.get("schedule") or one.spec.get("schedules")]:
        say(f"Started by the clock from now on: {', '.join(timed)}. `lakehouse schedule list` shows when.")
    output().show({"items": applied}, APPLIED)
    return Exit.OK


@pipeline.command("run", cls=Run)
@click.argument("name")
@click.option("--param", "params", multiple=True, metavar="K=V", help="A parameter of the pipeline; may be repeated.")
@click.option("--group", metavar="GROUP", help="Only this group of tables: finance, ops or masterdata.")
@click.option(
    "--wait",
    type=click.Choice(["run", "chain"]),
    metavar="[=chain]",
    help="Wait for the run's end and score; with =chain, for all it triggers as well.",
)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="How long to wait; without it, to the end.")
@click.option("--idempotency-key", metavar="KEY", help="A repeated key answers the run that the first one started.")
@LABELS
@ESTIMATE
@asynchronous
async def run_pipeline(
    name: str,
    params: tuple[str, ...],
    group: str | None,
    wait: str | None,
    timeout: float | None,  # noqa: ASYNC109 - it is the command's
    idempotency_key: str | None,
    labels: tuple[str, ...],
    estimates: tuple[str, ...],
) -> Exit:
    """Start a run; exit code 8 when a cap refuses it.

    Exit codes with --wait: 0 succeeded, 6 failed, 7 gate blocked, 8 still held, 9 not ended.
    """
    from lakehouse.cli.waits import explain, wait_for  # noqa: PLC0415
    from lakehouse.client import connect  # noqa: PLC0415

    given: dict[str, Any] = pairs(params, "--param") | ({"group": group} if group is not None else {})
    async with connect() as lakehouse:
        run_id = await lakehouse.start(
            name, given, idempotency_key=idempotency_key, labels=labels, estimate=estimated(estimates)
        )
        if wait is None:
            output().show({"run": await lakehouse.people.run(run_id)}, RUN)
            return Exit.OK
        runs = await wait_for(lakehouse, run_id, chain=wait == "chain", timeout=timeout)
    document: dict[str, Any] = {"run": runs[0]}
    if wait == "chain":
        document["triggered"] = runs[1:]
    output().show(document, RUN)
    for run in runs:
        explain(run, timeout)
    return of_runs(runs)


def _show_verdict(faults: list[dict[str, Any]]) -> None:
    if output().is_table and not faults:
        say("All specs are valid.")
        return
    output().show({"valid": not faults, "errors": faults}, FAULTS)
