"""`lakehouse artifact`: manifests, results and whatever else runs left behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from lakehouse.cli.base import Noun, asynchronous, output, say
from lakehouse.cli.short_id import RUN_ID
from lakehouse.output.formats import View

COLUMNS = ("id", "name", "kind", "bytes", "media_type", "sha256", "attempt")
ARTIFACTS = View(COLUMNS, empty="This run left no artifact.")
ONE = View((*COLUMNS, "uri"), rows="artifact")


@click.group(cls=Noun)
def artifact() -> None:
    """List and fetch what runs left behind."""


@artifact.command("list")
@click.argument("named", metavar="RUN", type=RUN_ID, required=False)
@click.option("--run", "option", metavar="ID", type=RUN_ID, help="The run, for scripts that name it so.")
@asynchronous
async def list_artifacts(named: str | None, option: str | None) -> None:
    """Artifacts of a run, newest attempt first."""
    from lakehouse.client import connect  # noqa: PLC0415 - only commands that connect pay for it

    given = _one(named, option)
    async with connect() as lakehouse:
        run_id = await lakehouse.find_run(given)
        await lakehouse.people.run(run_id)
        output().show({"items": await lakehouse.people.artifacts(run_id)}, ARTIFACTS)


@artifact.command()
@click.argument("artifact_id", metavar="ID", type=click.UUID)
@click.option("--to", type=click.Path(path_type=Path, allow_dash=True), help="Save the bytes; `-` is stdout.")
@asynchronous
async def get(artifact_id: UUID, to: Path | None) -> None:
    """What an artifact is; with --to, its bytes, proven by their SHA-256."""
    from lakehouse.client import connect  # noqa: PLC0415
    from lakehouse.client.reading import read_artifact  # noqa: PLC0415

    async with connect() as lakehouse:
        found = await lakehouse.people.artifact(artifact_id)
        if to is not None:
            _save(await read_artifact(lakehouse.target, found), to)
    if to is None or str(to) != "-":
        _show(found)


def _one(named: str | None, option: str | None) -> str:
    """The run that is meant, however it was given. Raises click.UsageError."""
    if (given := named or option) is None:
        raise click.UsageError("Name a run: `lakehouse artifact list ID`.")
    if named and option and named != option:
        raise click.UsageError(f"Two runs are named, {named} and {option}; name one.")
    return given


def _save(content: bytes, to: Path) -> None:
    if str(to) == "-":
        sys.stdout.buffer.write(content)
        return
    to.write_bytes(content)
    say(f"Saved {len(content):,} bytes to {to}.")


def _show(found: dict[str, Any]) -> None:
    output().show({"artifact": found}, ONE)
