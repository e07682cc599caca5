"""A spec as plain values that remember their lines. Built by the YAML and the JSON reader, in the same terms.

Limits keep a hostile file cheap: it is refused after a bounded amount of work, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from opscore.domain.pipeline_rules import Path
from opscore.specs.fault import SpecFault, quoted

MAX_BYTES = 65_536
MAX_NODES = 5_000
MAX_DEPTH = 20
MAX_DIGITS = 40


class Unreadable(Exception):
    """Stops a reader at a fault it cannot read past. Never leaves this package."""

    def __init__(self, line: int, message: str, hint: str) -> None:
        """line: counted from 1."""
        super().__init__(message)
        self.line, self.message, self.hint = line, message, hint


@dataclass(slots=True)
class Node:
    """A value at a line.

    content: scalar, list of nodes, or key -> (line of the key, node). size: nodes, itself included.
    """

    line: int
    content: Any
    size: int = 1


@dataclass(slots=True)
class Builder:
    """Makes nodes, counts them, and keeps the faults that a reader can read past."""

    file: str
    faults: list[SpecFault] = field(default_factory=list[SpecFault])
    nodes: int = 0

    def fault(self, line: int, message: str, hint: str) -> None:
        """Note a fault and go on."""
        self.faults.append(SpecFault(self.file, line, message, hint))

    def count(self, line: int, nodes: int = 1) -> None:
        """Refuse documents that are larger than any spec, aliases written out included."""
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise Unreadable(
                line,
                f"the file holds more than {MAX_NODES} values (aliases count as often as they are used)",
                "Split the pipeline, and write values out instead of nesting aliases.",
            )

    def scalar(self, line: int, value: Any) -> Node:
        """A text, number, boolean or null."""
        self.count(line)
        if isinstance(value, str) and (bad := next((c for c in value if c == "\0" or "\ud800" <= c <= "\udfff"), None)):
            self.fault(line, f"the text holds the character U+{ord(bad):04X}, which cannot be stored", "Remove it.")
            value = value.replace(bad, "")
        return Node(line, value)

    def sequence(self, line: int, items: list[Node]) -> Node:
        """A list."""
        self.count(line)
        return Node(line, items, 1 + sum(item.size for item in items))

    def mapping(self, line: int, entries: list[tuple[int, str, Node]]) -> Node:
        """A mapping. Of a key that stands twice the first one is kept."""
        self.count(line)
        content: dict[str, tuple[int, Node]] = {}
        for key_line, key, value in entries:
            if key in content:
                first = content[key][0]
                self.fault(
                    key_line, f"the key `{quoted(key)}` stands twice, first in line {first}", "Remove one of them."
                )
            else:
                content[key] = (key_line, value)
        return Node(line, content, 1 + sum(value.size for _, value in content.values()))


@dataclass(frozen=True, slots=True)
class Document:
    """A file's values, and for each path the line where it stands."""

    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of a path, or of the nearest part around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def document_of(root: Node) -> Document:
    """The plain values of a tree of nodes, with their lines."""
    lines: dict[Path, int] = {(): root.line}
    return Document(_value(root, (), lines), lines)


def _value(node: Node, path: Path, lines: dict[Path, int]) -> Any:
    if not isinstance(node.content, (list, dict)):
        return node.content
    values: dict[Any, Any] = {}
    for part, line, child in _children(node):
        lines[*path, part] = line
        values[part] = _value(child, (*path, part), lines)
    return list(values.values()) if isinstance(node.content, list) else values


def _children(node: Node) -> Iterator[tuple[str | int, int, Node]]:
    if isinstance(node.content, list):
        yield from ((index, child.line, child) for index, child in enumerate(node.content))
    else:
        yield from ((key, line, child) for key, (line, child) in node.content.items())


def too_deep(line: int) -> Unreadable:
    """The fault of a document nested deeper than any spec."""
    return Unreadable(line, f"values are nested deeper than {MAX_DEPTH} levels", "Write the spec flatter.")
