"""Tables for people. Used by `formats` alone, and imported only then: rich is slow to load."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from lakehouse.output.formats import View

STATES = {
    "succeeded": "green",
    "failed": "red",
    "canceled": "yellow",
    "held": "yellow",
    "running": "cyan",
    "claimed": "cyan",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
    "pass": "green",
    "stopped": "yellow",
}
LONGEST_CELL = 120


def print_table(rows: Sequence[Mapping[str, Any]], view: View) -> None:
    """Print rows under the view's columns, or say that there are none."""
    if not rows:
        sys.stderr.write(f"{view.empty}\n")
        return
    columns = [_column(column) for column in view.columns]
    print_grid([title for _, title in columns], [[pick(row, path) for path, _ in columns] for row in rows])


def print_grid(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print values under their names, numbers to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(names):
        numeric = _is_numeric([row[index] for row in rows])
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    Console(soft_wrap=False).print(table)


def pick(row: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    found: Any = row
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def cell(value: Any) -> Text:
    """A value as a person reads it; never interpreted as markup."""
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}")
    if isinstance(value, list | dict):
        return Text(_short(json.dumps(value, ensure_ascii=False)))
    text = _as_time(str(value)) or str(value)
    return Text(_short(text), style=STATES.get(text, ""))


def _column(text: str) -> tuple[str, str]:
    path, _, title = text.partition(":")
    return path, title or path.replace("_", " ")


def _is_numeric(values: Sequence[Any]) -> bool:
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in values if value is not None]
    return bool(numbers) and all(numbers)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def _as_time(text: str) -> str | None:
    """Timestamps to the second, in UTC."""
    if len(text) < 20 or "T" not in text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at.tzinfo else None
