"""`lakehouse-scorer`: follows the event log and scores runs."""

from __future__ import annotations

import sys

import click

from lakehouse_scorer.app import NAME, probes
from lakehouse_scorer.app import main as scorer
from lakehouse_scorer.settings import ScorerSettings
from opscore.runtime.supervise import start


@click.command(name="lakehouse-scorer")
@click.version_option(package_name="lakehouse-scorer")
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
def main(*, check: bool) -> None:
    """Judge runs as they end: signals, and a weighted score in [0, 100].

    Reads LAKEHOUSE_DATABASE_URL and LAKEHOUSE_DIRECT_URL. Any number of scorers may run; one records each batch.
    """
    sys.exit(start(NAME, ScorerSettings, scorer, probes, check=check))


if __name__ == "__main__":
    main()
