"""A run's progress on a terminal: one bar on stderr, nothing anywhere else. Used by commands that wait for runs."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from lakehouse.output.wait_words import waits_for


class Watcher(Protocol):
    """Is told of every change of a run."""

    def saw(self, run: Mapping[str, Any]) -> None:
        """The run as it is now."""
        ...


class Nobody:
    """Watches for nobody: there is no terminal."""

    def saw(self, run: Mapping[str, Any]) -> None:
        """See Watcher."""


@contextmanager
def progress() -> Generator[Watcher]:
    """A watcher for the length of the block; draws only when stderr is a terminal."""
    if not sys.stderr.isatty():
        yield Nobody()
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only terminals need it
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[pipeline]}"),
        BarColumn(),
        TextColumn("{task.fields[doing]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task_of: dict[str, Any] = {}

    def saw(self, run: Mapping[str, Any]) -> None:
        if run["id"] not in self._task_of:
            self._task_of[run["id"]] = self._bars.add_task("", total=None, pipeline=run["pipeline"], doing="")
        done, total = share(run)
        self._bars.update(self._task_of[run["id"]], completed=done, total=total, doing=doing(run))


def share(run: Mapping[str, Any]) -> tuple[float, float | None]:
    """How much of the present phase is done, and of how much; None where nobody knows."""
    if run["state"] in {"succeeded", "failed", "canceled"}:
        return 1, 1
    reported = run.get("progress") or {}
    done, total = reported.get("done"), reported.get("total")
    if isinstance(done, int | float) and isinstance(total, int | float) and total > 0:
        return done, total
    return 0, None


def doing(run: Mapping[str, Any]) -> str:
    """What the run is at, in a few words."""
    if run["state"] == "held":
        return f"held by {waits_for(run['wait_reason'])}"
    if run["wait_reason"]:
        return f"{run['state']}, waits for {waits_for(run['wait_reason'])}"
    reported = run.get("progress") or {}
    amount = f"{reported['done']}/{reported['total']}" if {"done", "total"} <= reported.keys() else ""
    words = [run["state"], run["phase"], amount, reported.get("unit")]
    return " ".join(str(word) for word in words if word)
