"""JSON text to nodes. Called by `reading`; the standard decoder reads the scalars, this finds the lines.

Numbers stay exact; NaN and Infinity are not JSON.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from opscore.specs.document import MAX_DEPTH, MAX_DIGITS, Builder, Node, Unreadable, too_deep

BLANK = re.compile(r"[ \t\r\n]*")
LONG_NUMBER = re.compile(rf"-?[0-9.eE+-]{{{MAX_DIGITS + 1},}}")


def read_json(text: str, builder: Builder) -> Node | None:
    """The value's root, None when the file is empty. Raises Unreadable."""
    reader = _Reader(text, builder)
    if reader.peek() == "":
        return None
    root = reader.value(0)
    if reader.peek():
        reader.refuse("text after the end of the spec")
    return root


class _Reader:
    def __init__(self, text: str, builder: Builder) -> None:
        self.text, self.builder, self.at = text, builder, 0
        self.decoder = json.JSONDecoder(parse_float=self.number, parse_constant=self.constant)

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def peek(self) -> str:
        """The next character that is not blank, "" at the end."""
        blank = BLANK.match(self.text, self.at)
        self.at = blank.end() if blank else self.at
        return self.text[self.at : self.at + 1]

    def take(self, character: str) -> None:
        if self.peek() != character:
            self.refuse(f"`{character}` is expected here")
        self.at += 1

    def refuse(self, problem: str) -> NoReturn:
        raise Unreadable(self.line, f"the file is not JSON: {problem}", "Look at commas, colons, quotes and brackets.")

    def value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise too_deep(self.line)
        match self.peek():
            case "{":
                return self.mapping(depth)
            case "[":
                return self.sequence(depth)
            case _:
                return self.scalar()

    def mapping(self, depth: int) -> Node:
        line, entries = self.line, list[tuple[int, str, Node]]()
        self.take("{")
        while self.peek() != "}":
            if entries:
                self.take(",")
            if self.peek() != '"':
                self.refuse("a key in double quotes is expected here")
            key = self.scalar()
            self.take(":")
            entries.append((key.line, key.content, self.value(depth + 1)))
        self.take("}")
        return self.builder.mapping(line, entries)

    def sequence(self, depth: int) -> Node:
        line, items = self.line, list[Node]()
        self.take("[")
        while self.peek() != "]":
            if items:
                self.take(",")
            items.append(self.value(depth + 1))
        self.take("]")
        return self.builder.sequence(line, items)

    def scalar(self) -> Node:
        line = self.line
        if LONG_NUMBER.match(self.text, self.at):
            self.refuse(f"the number has more than {MAX_DIGITS} digits")
        try:
            value, self.at = self.decoder.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            self.refuse(error.msg[:1].lower() + error.msg[1:])
        return self.builder.scalar(line, value)

    def number(self, text: str) -> Decimal:
        number = Decimal(text)
        if abs(number.adjusted()) > MAX_DIGITS:
            self.refuse(f"the number has more than {MAX_DIGITS} digits")
        return number

    def constant(self, text: str) -> Any:
        self.refuse(f"{text} is not a number")
