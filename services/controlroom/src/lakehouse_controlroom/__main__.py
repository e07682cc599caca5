"""`lakehouse-controlroom`: the HTTP API and the page."""

from __future__ import annotations

import sys

import click

from lakehouse_controlroom.app import NAME, probes
from lakehouse_controlroom.app import main as controlroom
from lakehouse_controlroom.settings import ControlroomSettings
from opscore.runtime.supervise import start


@click.command(name="lakehouse-controlroom")
@click.version_option(package_name="lakehouse-controlroom")
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
def main(*, check: bool) -> None:
    """Serve the control room on loopback: runs live, tables, and the API of contracts/lakehouse-executor.openapi.yaml.

    Reads LAKEHOUSE_DATABASE_URL, LAKEHOUSE_DIRECT_URL, LAKEHOUSE_PORT and LAKEHOUSE_TOKEN (without it nothing can be
    changed through HTTP).
    """
    sys.exit(start(NAME, ControlroomSettings, controlroom, probes, check=check))


if __name__ == "__main__":
    main()
