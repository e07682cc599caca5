"""`lakehouse-executor`: carries runs through their phases and reports how they ended."""

from __future__ import annotations

import sys

import click


@click.command(name="lakehouse-executor", help=__doc__)
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
@click.version_option(package_name="lakehouse-executor")
def main(*, check: bool) -> None:
    """Run until SIGTERM."""
    # Imported here: each worker process imports this module, and needs none of it.
    from lakehouse_executor import app  # noqa: PLC0415
    from lakehouse_executor.settings import ExecutorSettings  # noqa: PLC0415
    from opscore.runtime.supervise import start  # noqa: PLC0415

    sys.exit(start(app.NAME, ExecutorSettings, app.main, app.probes, check=check))


if __name__ == "__main__":
    main()
