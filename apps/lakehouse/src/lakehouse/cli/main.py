"""The `lakehouse` command: its nouns, and how every end of a command becomes an exit code and a message.

Called by `__main__`. Imports nothing heavy: `lakehouse --version` is answered by click alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from lakehouse.cli.base import Lazy
from lakehouse.cli.exits import Exit, of_error
from lakehouse.cli.faults import asks_for_json, report
from opscore.domain.errors import OpsError, Unexpected

NOUNS = {
    "demo": ("lakehouse.cli.demo:demo", "Bring up everything and run the main job on real tables."),
    "up": ("lakehouse.cli.stack:up", "Bring up the embedded stack."),
    "down": ("lakehouse.cli.stack:down", "Stop the embedded stack."),
    "status": ("lakehouse.cli.stack:status", "Show the stack; exit code 0 when it is healthy."),
    "doctor": ("lakehouse.cli.doctor:doctor", "Check machine, database, lake and services; name each remedy."),
    "pause": ("lakehouse.cli.pause:pause", "Start nothing new anywhere, for maintenance; what runs goes on."),
    "resume": ("lakehouse.cli.pause:resume", "End a pause."),
    "migrate": ("lakehouse.cli.migrate:migrate", "Bring the control plane's schema up to date."),
    "pipeline": ("lakehouse.cli.pipeline:pipeline", "List, show, validate, apply and run pipelines."),
    "schedule": ("lakehouse.cli.schedule:schedule", "When pipelines start by the clock; pause and resume."),
    "trigger": ("lakehouse.cli.trigger:trigger", "What else starts pipelines; tokens of webhooks."),
    "backfill": ("lakehouse.cli.backfill:backfill", "Work through a range of time in partitions."),
    "run": ("lakehouse.cli.run:run", "List, show, watch, retry, cancel and roll back runs."),
    "sql": ("lakehouse.cli.sql:sql", "Run one SQL statement over the lake."),
    "query": ("lakehouse.cli.query:query", "Statements that were run."),
    "table": ("lakehouse.cli.table:table", "Tables of the lake and their snapshots."),
    "event": ("lakehouse.cli.event:event", "The event log, and the proof that nobody changed it."),
    "artifact": ("lakehouse.cli.artifact:artifact", "What runs left behind."),
    "route": ("lakehouse.cli.route:route", "Who hears of which alert."),
    "alert": ("lakehouse.cli.alert:alert", "Alerts: list, acknowledge, resolve, silence."),
    "executor": ("lakehouse.cli.executor:executor", "Processes that carry out runs."),
    "signal": ("lakehouse.cli.signal:signal", "What runs are judged by."),
    "score": ("lakehouse.cli.score:score", "Scores: why, what if, and the weights behind them."),
    "cap": ("lakehouse.cli.cap:cap", "Ceilings and what is in use."),
}


@click.command(cls=Lazy, nouns=NOUNS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lakehouse", prog_name="lakehouse", message="%(prog)s %(version)s")
def root() -> None:
    """The control room for a lakehouse that you own.

    Two commands bring you from nothing to numbers: `lakehouse demo`, then `lakehouse sql "select * from
    gold.revenue_by_month"`.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code."""
    try:
        return _code_of(root.main(list(arguments), prog_name="lakehouse", standalone_mode=False))
    except click.ClickException as error:
        return _refuse_usage(error, arguments)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - a command line ends in a sentence, not in a traceback
        return _end(_inner(error), arguments)


def _code_of(answer: Any) -> int:
    return int(answer) if isinstance(answer, int) and not isinstance(answer, bool) else Exit.OK


def _refuse_usage(error: click.ClickException, arguments: Sequence[str]) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return Exit.USAGE
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f"`{context.command_path} --help` lists what is allowed." if context else "See `lakehouse --help`."
    fault = {"code": "INVALID_INPUT", "message": error.format_message(), "hint": hint}
    report(fault, as_json=asks_for_json(arguments))
    return Exit.USAGE


def _end(error: Exception, arguments: Sequence[str]) -> int:
    known = error if isinstance(error, OpsError) else Unexpected(f"{type(error).__name__}: {error}")
    report(known.as_json(), as_json=asks_for_json(arguments))
    return of_error(known)


def _inner(error: Exception) -> Exception:
    """Task groups wrap what they raise; a person wants the one error inside."""
    while isinstance(error, ExceptionGroup):
        inner = [one for one in error.exceptions if isinstance(one, OpsError)] or list(error.exceptions)
        error = inner[0]
    return error


def _silence_stdout() -> None:
    """Whoever read us is gone: the interpreter must not complain when it flushes at exit."""
    sys.stdout = None  # type: ignore[assignment] - documented by Python for this purpose
