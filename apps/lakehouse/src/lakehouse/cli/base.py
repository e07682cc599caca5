"""What all commands share: `-o` before or after the verb, nouns loaded when they are named, one way to run async work.

A command's function returns an `Exit` or nothing; data goes through `output()`, messages through `say()`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import update_wrapper
from importlib import import_module
from typing import Any, ParamSpec

import click

from lakehouse.output.formats import FORMATS, Output

P = ParamSpec("P")


def output() -> Output:
    """Where this command's data go, in the format that was asked for."""
    return click.get_current_context().find_root().obj


def say(message: str) -> None:
    """A message for a person, on stderr."""
    click.echo(message, err=True)


class Noun(click.Group):
    """A group of verbs whose options may stand before or after the verb."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_format_option())
        self.command_class = Verb


class Verb(click.Command):
    """A command with `-o`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_format_option())


class Lazy(Noun):
    """The root: what each noun is about stands here, its module is imported when it is used."""

    def __init__(self, *args: Any, nouns: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        """nouns: name -> (module and attribute as `module:attribute`, one line of help)."""
        super().__init__(*args, **kwargs)
        self._nouns = nouns

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All nouns, in the order they are documented."""
        del ctx
        return list(self._nouns)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        del ctx
        if cmd_name not in self._nouns:
            return None
        module, _, attribute = self._nouns[cmd_name][0].partition(":")
        return getattr(import_module(module), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with our names for what was meant."""
        self.commands = dict.fromkeys(self._nouns, click.Command(None))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of nouns, without importing one."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self._nouns.items()])


def asynchronous(function: Callable[P, Awaitable[Any]]) -> Callable[P, Any]:
    """Run a command's coroutine to its end."""

    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        from functools import partial  # noqa: PLC0415 - keeps `--version` fast

        import anyio  # noqa: PLC0415

        return anyio.run(partial(function, *args, **kwargs))

    return update_wrapper(run, function)


def pairs(values: Sequence[str], option: str) -> dict[str, str]:
    """`k=v` texts as a mapping. Raises click.BadParameter."""
    found: dict[str, str] = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not of the form name=value.", param_hint=option)
        found[key] = rest
    return found


def _format_option() -> click.Option:
    return click.Option(
        ["-o", "--output"],
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=_remember_format,
        help="How data are printed; a table on a terminal, JSON otherwise.",
    )


def _remember_format(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    del param
    root = ctx.find_root()
    if root.obj is None:
        root.obj = Output()
    if value is not None:
        root.obj.wanted = value
