"""The page of all commands, made from the commands themselves. Called by generate.py; a command without help fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import click

from lakehouse.cli.exits import Exit
from lakehouse.cli.main import NOUNS, root

Found = TypeVar("Found")

HEAD = """# The command line

Generated from the commands by `make generate`. Every command takes `-o table|json|jsonl|yaml|csv`, before or after the
verb: without it a terminal gets a table and everything else JSON. Data go to stdout, messages to stderr.

| exit code | meaning |
|---|---|
"""
EXITS = {
    Exit.OK: "done",
    Exit.ERROR: "an error, or a check that failed",
    Exit.USAGE: "a command line or input that cannot be meant",
    Exit.NOT_ALLOWED: "not allowed",
    Exit.NOT_FOUND: "not found",
    Exit.RUN_FAILED: "the run failed",
    Exit.GATE_BLOCKED: "a gate blocked the run",
    Exit.HELD: "held by a cap",
    Exit.TIMEOUT: "time was up",
    Exit.INTERRUPTED: "interrupted",
}


def cli_page() -> str:
    """The page as Markdown."""
    exits = "".join(f"| {int(code)} | {EXITS[code]} |\n" for code in Exit)
    context = click.Context(root, info_name="lakehouse")
    sections = [_section(noun, root.get_command(context, noun), context) for noun in NOUNS]
    return HEAD + exits + "\n" + "\n".join(sections)


def _section(noun: str, command: click.Command | None, context: click.Context) -> str:
    command = _there(command, noun)
    own = click.Context(command, context, noun)
    if not isinstance(command, click.Group):
        return _entry("##", command, own)
    verbs = [_entry("###", verb, path) for verb, path in _verbs(command, own)]
    return "\n".join([f"## `lakehouse {noun}`\n\n{_about(command)}\n", *verbs])


def _verbs(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """A group's verbs, those of groups inside it included."""
    for name in group.list_commands(context):
        verb = _there(group.get_command(context, name), name)
        own = click.Context(verb, context, name)
        if isinstance(verb, click.Group):
            yield from _verbs(verb, own)
        else:
            yield verb, own


def _entry(level: str, command: click.Command, context: click.Context) -> str:
    arguments = [one.make_metavar(context) for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option) and one.name != "output"]
    line = " ".join([context.command_path, *arguments, *(["[OPTIONS]"] if options else [])])
    listed = "".join(f"| `{_names(one, context)}` | {_meaning(one, context)} |\n" for one in options)
    table = f"\n| option | meaning |\n|---|---|\n{listed}" if options else ""
    return f"{level} `{line}`\n\n{_about(command)}\n{table}"


def _names(option: click.Option, context: click.Context) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.make_metavar(context)}".replace("|", "\\|")


def _meaning(option: click.Option, context: click.Context) -> str:
    shown = _there(option.get_help_record(context), f"{context.command_path} {option.name}")
    return " ".join(shown[1].replace("|", "\\|").split())


def _about(command: click.Command) -> str:
    return " ".join(_there(command.help, f"{command.name}").split())


def _there(found: Found | None, name: str) -> Found:
    if found is None:
        raise LookupError(f"{name} is hidden or has no help")
    return found
