"""What `--match` says, as the JSON that routes and silences keep. Used by `route` and `alert`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from lakehouse.cli.base import pairs

KEYS = ("severity", "rule", "pipeline")
SEVERITIES = ("info", "warning", "error", "critical")

MATCH = click.option(
    "--match",
    "matches",
    multiple=True,
    metavar="KEY=VALUE",
    help="Which alerts: severity=error,critical, rule=GLOB or pipeline=GLOB; may be repeated. Without it, all.",
)


def match_json(matches: Sequence[str]) -> dict[str, Any]:
    """{"severity": [..], "rule": glob, "pipeline": glob}. Raises click.BadParameter."""
    found: dict[str, Any] = {}
    for key, value in pairs(matches, "--match").items():
        if key not in KEYS or not value:
            raise click.BadParameter(f"{key}={value} is none of {'=, '.join(KEYS)}=.", param_hint="--match")
        found[key] = _severities(value) if key == "severity" else value
    return found


def _severities(value: str) -> list[str]:
    named = [word.strip() for word in value.split(",")]
    for word in named:
        if word not in SEVERITIES:
            raise click.BadParameter(f"severity {word!r} is none of {', '.join(SEVERITIES)}.", param_hint="--match")
    return named
