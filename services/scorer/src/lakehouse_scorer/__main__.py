"""`lakehouse-scorer`: follows the event log and scores runs."""

from __future__ import annotations

import sys
from uuid import UUID

import click

from lakehouse_scorer.app import NAME, probes
from lakehouse_scorer.app import main as scorer
from lakehouse_scorer.settings import ScorerSettings
from opscore.domain.errors import OpsError
from opscore.runtime.supervise import start


@click.command(name="lakehouse-scorer")
@click.version_option(package_name="lakehouse-scorer")
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
@click.option("--propose", type=click.UUID, metavar="ENVIRONMENT", help="Learn weights from history once, then exit.")
def main(*, check: bool, propose: UUID | None) -> None:
    """Judge runs as they end: signals, and a weighted score in [0, 100].

    Reads LAKEHOUSE_DATABASE_URL and LAKEHOUSE_DIRECT_URL. Any number of scorers may run; one records each batch.
    """
    if propose is not None:
        sys.exit(proposed(propose))
    sys.exit(start(NAME, ScorerSettings, scorer, probes, check=check))


def proposed(environment: UUID) -> int:
    """Learn and say what came of it; 1 when the history says too little or the control plane does not answer."""
    import anyio  # noqa: PLC0415 - only this way of starting needs it

    from lakehouse_scorer.learning.once import propose_once  # noqa: PLC0415

    try:
        made = anyio.run(propose_once, ScorerSettings.load(), environment)
    except OpsError as error:
        click.echo(f"{error.message} {error.hint}", err=True)
        return 1
    click.echo(f"Proposal {made}: `lakehouse score weights proposals` shows it.")
    return 0


if __name__ == "__main__":
    main()
