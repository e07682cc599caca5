"""`lakehouse-dispatcher`: leases due runs to executors, releases held runs, rescues dead ones."""

from __future__ import annotations

import sys

import click


@click.command(name="lakehouse-dispatcher", help=__doc__)
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
@click.version_option(package_name="lakehouse-dispatcher")
def main(*, check: bool) -> None:
    """Run until SIGTERM."""
    # Imported here: help and version answer at once.
    from lakehouse_dispatcher import app  # noqa: PLC0415
    from lakehouse_dispatcher.settings import DispatcherSettings  # noqa: PLC0415
    from opscore.runtime.supervise import start  # noqa: PLC0415

    sys.exit(start(app.NAME, DispatcherSettings, app.main, app.probes, check=check))


if __name__ == "__main__":
    main()
