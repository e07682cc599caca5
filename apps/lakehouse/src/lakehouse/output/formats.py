"""One document, five formats. Used by every command through `cli.base.output()`.

A document is the JSON of the interface; `items` are its rows. Nothing but data reaches stdout.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FORMATS = ("table", "json", "jsonl", "yaml", "csv")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """How a document looks as a table. columns: dotted paths into each row, with a title after a colon if it needs one.

    empty: what to say, and do next, when there is no row. rows: the document's rows where they are not its `items`.
    """

    columns: tuple[str, ...]
    empty: str = "There is nothing yet."
    rows: str = "items"


class Output:
    """The answer's way out. wanted: one of FORMATS, None for a table on a terminal and JSON otherwise."""

    def __init__(self, wanted: str | None = None) -> None:
        self.wanted = wanted

    @property
    def format(self) -> str:
        """What is printed."""
        return self.wanted or ("table" if sys.stdout.isatty() else "json")

    @property
    def is_table(self) -> bool:
        """Whether a person reads this."""
        return self.format == "table"

    def show(self, document: Document, view: View) -> None:
        """Print a whole document."""
        match self.format:
            case "json":
                self.write(as_json(document))
            case "jsonl":
                for row in rows_of(document, view):
                    self.write(as_json(row))
            case "yaml":
                self.write(as_yaml(document).rstrip("\n"))
            case "csv":
                self.write(as_csv(rows_of(document, view)).rstrip("\n"))
            case _:
                self._show_table(document, view)

    def grid(self, document: Document, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a result set: names and rows, which for JSON and YAML stand in a document of their own.

        document: as `lakehouse sql -o json` prints it; tables read the columns' types in it.
        """
        match self.format:
            case "json" | "yaml":
                self.show(document, View(()))
            case "jsonl":
                for row in rows:
                    self.write(as_json(dict(zip(names, row, strict=True))))
            case "csv":
                self.write(_csv(names, rows).rstrip("\n"))
            case _:
                from lakehouse.output.tables import print_grid  # noqa: PLC0415 - rich is slow to import

                print_grid(names, rows, [column["type"] for column in document["columns"]])

    def line(self, row: Document) -> None:
        """Print one row of a stream as a line of JSON, whatever the format."""
        self.write(as_json(row))

    def write(self, text: str) -> None:
        """Print text that is data; whoever waits for it gets it at once."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def _show_table(self, document: Document, view: View) -> None:
        from lakehouse.output.tables import print_table  # noqa: PLC0415 - rich is slow to import

        print_table(rows_of(document, view), view)


def rows_of(document: Document, view: View) -> Sequence[Document]:
    """The rows: the document's items, else the object inside it, else the document itself."""
    found = document.get(view.rows)
    if isinstance(found, list):
        return found
    return [found] if isinstance(found, dict) else [document]


def as_json(document: Any) -> str:
    """One line; exact: what is no JSON value is an error of ours, so there is no default."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def as_yaml(document: Document) -> str:
    """Block style, keys in the document's order."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - slow to import

    writer = YAML(typ="rt")
    writer.default_flow_style = False
    writer.width = 4096
    stream = io.StringIO()
    writer.dump(dict(document), stream)
    return stream.getvalue()


def as_csv(rows: Sequence[Document]) -> str:
    """A header and one line per row; what is not a plain value is JSON text, null is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _csv(names, [[row.get(name) for name in names] for row in rows])


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
