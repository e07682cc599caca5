"""`lakehouse-dispatcher`: leases due runs to executors, releases held runs, rescues dead ones."""

from __future__ import annotations

import sys

import click

from lakehouse_dispatcher.app import NAME, probes
from lakehouse_dispatcher.app import main as dispatcher
from lakehouse_dispatcher.settings import DispatcherSettings
from opscore.runtime.supervise import start


@click.command(name="lakehouse-dispatcher", help=__doc__)
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
@click.version_option(package_name="lakehouse-dispatcher")
def main(*, check: bool) -> None:
    """Run until SIGTERM."""
    sys.exit(start(NAME, DispatcherSettings, dispatcher, probes, check=check))


if __name__ == "__main__":
    main()
