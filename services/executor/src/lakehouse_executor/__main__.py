"""`lakehouse-executor`: carries runs through their phases and reports how they ended."""

from __future__ import annotations

import sys

import click

from lakehouse_executor.app import NAME, probes
from lakehouse_executor.app import main as executor
from lakehouse_executor.settings import ExecutorSettings
from opscore.runtime.supervise import start


@click.command(name="lakehouse-executor", help=__doc__)
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
@click.version_option(package_name="lakehouse-executor")
def main(*, check: bool) -> None:
    """Run until SIGTERM."""
    sys.exit(start(NAME, ExecutorSettings, executor, probes, check=check))


if __name__ == "__main__":
    main()
