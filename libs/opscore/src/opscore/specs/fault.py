"""What is wrong with a spec, where, and what to do. Collected by `validate_files`, raised by `parse`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from opscore.domain.errors import InvalidSpec

PASSWORDS = (
    (re.compile(r"(://[^:/@\s]*:)\S*@"), r"\1***@"),
    (re.compile(r"((?:password|passwd|secret|token|key)\s*[=:]\s*)\S+", re.IGNORECASE), r"\1***"),
)


@dataclass(frozen=True, slots=True, order=True)
class SpecFault:
    """One fault. line: counted from 1."""

    file: str
    line: int
    message: str
    hint: str

    def as_json(self) -> dict[str, Any]:
        """The shape that `pipeline validate` prints."""
        return asdict(self)

    def as_error(self) -> InvalidSpec:
        """The fault as the error that stops a command."""
        return InvalidSpec(file=self.file, line=self.line, fault=self.message, hint=self.hint)


def shown(value: Any) -> str:
    """A value as a message may show it: short, printable, without passwords."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"`{quoted(value)}`"
        case _:
            return f"the number {value}"


def quoted(text: str) -> str:
    """Text from a file as a message may show it."""
    for pattern, masked in PASSWORDS:
        text = pattern.sub(masked, text)
    printable = "".join(char if char.isprintable() else " " for char in text)
    return printable if len(printable) <= 60 else printable[:60] + "…"
