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
LONGEST_CELL = 400
LONGEST_UNFOLDED = 40
UNLIMITED = 100_000
NUMBERS = ("decimal", "int", "long", "float", "double")
AMOUNTS = frozenset({"rows", "rows_added", "files", "bytes"})


def print_table(rows: Sequence[Mapping[str, Any]], view: View) -> None:
    """Print rows under the view's columns, or say that there are none."""
    if not rows:
        sys.stderr.write(f"{view.empty}\n")
        return
    columns = [_column(column) for column in view.columns]
    values = [[_spoken(path, pick(row, path)) for path, _ in columns] for row in rows]
    print_grid([title for _, title in columns], values)


def print_grid(names: Sequence[str], rows: Sequence[Sequence[Any]], types: Sequence[str] = ()) -> None:
    """Print values under their names, numbers to the right; long texts are folded, never what one copies.

    types: Iceberg's, where they are known: exact numbers come as text, and only their type tells them from a code.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    kinds = types or [""] * len(names)
    cells = [[cell(_readable(value, kind)) for value, kind in zip(row, kinds, strict=True)] for row in rows]
    needed = 0
    for index, name in enumerate(names):
        longest = max([len(name), *(row[index].cell_len for row in cells)])
        numeric = kinds[index].startswith(NUMBERS) or _is_numeric([row[index] for row in rows])
        table.add_column(
            Text(name), justify="right" if numeric else "left", overflow="fold", no_wrap=longest <= LONGEST_UNFOLDED
        )
        needed += min(longest, LONGEST_UNFOLDED) + 2
    for row in cells:
        table.add_row(*row)
    console = Console()
    console.width = max(console.width, needed) if sys.stdout.isatty() else UNLIMITED
    console.print(table)


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
    if value == []:
        return cell(None)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return Text(_short(", ".join(_as_time(item) or item for item in value)))
    if isinstance(value, list | dict):
        return Text(_short(json.dumps(value, ensure_ascii=False)))
    text = _as_time(str(value)) or str(value)
    return Text(_short(text), style=STATES.get(text, ""))


def _spoken(path: str, value: Any) -> Any:
    """Amounts get separators, digests are short; ids and process numbers stay as they can be copied."""
    if path == "bundle":
        return str(value)[:12]
    return _Amount(value) if path in AMOUNTS and isinstance(value, int) else value


class _Amount(int):
    def __str__(self) -> str:
        return f"{int(self):,}"


def _column(text: str) -> tuple[str, str]:
    path, _, title = text.partition(":")
    return path, title or path.replace("_", " ")


def _is_numeric(values: Sequence[Any]) -> bool:
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in values if value is not None]
    return bool(numbers) and all(numbers)


def _readable(value: Any, kind: str) -> Any:
    """Exact decimals without the zeros that only their scale asks for; two places stay, as money has them."""
    if not kind.startswith("decimal") or not isinstance(value, str) or "." not in value:
        return value
    whole, _, places = value.partition(".")
    return f"{whole}.{places[: max(2, len(places.rstrip('0')))]}"


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
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if at.tzinfo else None
