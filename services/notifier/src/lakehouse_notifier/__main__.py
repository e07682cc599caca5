"""`lakehouse-notifier`: turns events into alerts and delivers them."""

from __future__ import annotations

import sys

import click

from lakehouse_notifier.app import NAME, probes
from lakehouse_notifier.app import main as notifier
from lakehouse_notifier.settings import NotifierSettings
from opscore.runtime.supervise import start


@click.command(name="lakehouse-notifier")
@click.version_option(package_name="lakehouse-notifier")
@click.option("--check", is_flag=True, help="Validate settings and connections, then exit.")
def main(*, check: bool) -> None:
    """Turn events into alerts by rules, route them, and deliver them to webhooks and Slack.

    Reads LAKEHOUSE_DATABASE_URL, LAKEHOUSE_DIRECT_URL, LAKEHOUSE_WEBHOOK_ALLOW (hosts and networks that may be
    reached although they are not public) and LAKEHOUSE_API_URL (for links). Any number of notifiers may run.
    """
    sys.exit(start(NAME, NotifierSettings, notifier, probes, check=check))


if __name__ == "__main__":
    main()
