"""Errors on stderr: a sentence and the next step for people, one JSON object where JSON was asked for.

Used by `main` for errors that end a command, and by commands whose run did not succeed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

MACHINE_FORMATS = frozenset({"json", "jsonl"})


def report(
    fault: Mapping[str, str | None], *, as_json: bool, title: str = "Error", details: Sequence[str] = ()
) -> None:
    """fault: code, message, hint. details: further lines for people."""
    if as_json:
        click.echo(json.dumps({"error": dict(fault)}, ensure_ascii=False), err=True)
        return
    click.echo(f"{click.style(title, fg='red', bold=True)}: {fault['message']}", err=True)
    for line in [fault.get("hint"), *details]:
        if line:
            click.echo(f"  {line}", err=True)


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Judged by the words alone: the line may be one that could not be parsed."""
    spelled = [f"-o{name}" for name in MACHINE_FORMATS] + [f"--output={name}" for name in MACHINE_FORMATS]
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(word in spelled or (word in {"-o", "--output"} and value in MACHINE_FORMATS) for word, value in pairs)
