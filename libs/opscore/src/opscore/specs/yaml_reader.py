"""YAML 1.2 text to nodes. Called by `reading`; uses the parser's events only, so that nothing is built unasked.

Plain scalars follow the core schema: `yes`, `on` and dates are text. Numbers stay exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

from opscore.specs.document import MAX_DEPTH, MAX_DIGITS, Builder, Node, Unreadable, too_deep
from opscore.specs.fault import quoted

CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
INTEGER = re.compile(r"[-+]?[0-9]+")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,2})?")
# The parser needs quadratic time to find out by itself.
DEEP_AT_ONCE = re.compile(rf"(?:[\[{{]\s*){{{MAX_DEPTH + 1}}}")


def read_yaml(text: str, builder: Builder) -> Node | None:
    """The document's root, None when the file holds none. Raises Unreadable."""
    if deep := DEEP_AT_ONCE.search(text):
        raise too_deep(_line_at(text, deep.start()))
    try:
        return _Reader(text, builder).document()
    except ReaderError as error:
        line = _line_at(text, error.position)
        raise Unreadable(line, "the file holds a character that YAML does not allow", "Remove it.") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1, text.count("\n") + 1) if mark else 1
        problem = quoted(str(error.problem or error.context))
        raise Unreadable(line, f"the file is not YAML: {problem}", "Look at indentation, colons and quotes.") from error
    except YAMLError as error:
        raise Unreadable(1, f"the file is not YAML: {quoted(str(error))}", "Look at its first lines.") from error


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


class _Reader:
    """Walks the events of one document. Aliases share nodes but are counted as if written out."""

    def __init__(self, text: str, builder: Builder) -> None:
        self.events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self.builder = builder
        self.anchors: dict[str, Node] = {}

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self.events:
            match event:
                case StreamStartEvent() | StreamEndEvent() | DocumentEndEvent():
                    continue
                case DocumentStartEvent() if root is None:
                    root = self.node(next(self.events), 0)
                case _:
                    raise Unreadable(_line(event), "the file holds a second document", "Write one spec per file.")
        empty = root is not None and root.content is None
        return None if empty else root

    def node(self, event: Event, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise too_deep(_line(event))
        if isinstance(event, AliasEvent):
            return self.alias(event)
        self.refuse_tag(event)
        node = self.content(event, depth)
        if anchor := getattr(event, "anchor", None):
            self.anchors[anchor] = node
        return node

    def content(self, event: Event, depth: int) -> Node:
        line = _line(event)
        match event:
            case ScalarEvent():
                return self.builder.scalar(line, self.scalar(event))
            case SequenceStartEvent():
                items: list[Node] = []
                while not isinstance(event := next(self.events), SequenceEndEvent):
                    items.append(self.node(event, depth + 1))
                return self.builder.sequence(line, items)
            case MappingStartEvent():
                entries: list[tuple[int, str, Node]] = []
                while not isinstance(event := next(self.events), MappingEndEvent):
                    key_line = _line(event)
                    key = self.key(event)
                    entries.append((key_line, key, self.node(next(self.events), depth + 1)))
                return self.builder.mapping(line, entries)
            case _:
                raise Unreadable(line, "the file ends within a value", "Complete it.")

    def key(self, event: Event) -> str:
        self.refuse_tag(event)
        if not isinstance(event, ScalarEvent):
            raise Unreadable(_line(event), "a key must be plain text", "Write `key: value`.")
        if event.value == "<<" and not event.style:
            raise Unreadable(
                _line(event), "merge keys (`<<`) are not part of YAML 1.2", "Write the keys out, or alias whole values."
            )
        return event.value

    def alias(self, event: AliasEvent) -> Node:
        line, name = _line(event), str(event.anchor)
        if name not in self.anchors:
            raise Unreadable(
                line, f"the alias `*{quoted(name)}` has no anchor before it", f"Define &{quoted(name)} first."
            )
        target = self.anchors[name]
        self.builder.count(line, target.size)
        return Node(line, target.content, target.size)

    def refuse_tag(self, event: Event) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.builder.fault(
                _line(event), f"tags such as `{quoted(str(tag))}` are not allowed", "Write the plain value."
            )

    def scalar(self, event: ScalarEvent) -> Any:
        text: str = event.value
        if event.style:
            return text
        if text in CONSTANTS:
            return CONSTANTS[text]
        if not NUMBER.fullmatch(text):
            return text
        if len(text) > MAX_DIGITS:
            self.builder.fault(_line(event), f"the number has more than {MAX_DIGITS} digits", "Shorten it.")
            return 0
        return int(text) if INTEGER.fullmatch(text) else Decimal(text)


def _line(event: Event) -> int:
    return event.start_mark.line + 1
