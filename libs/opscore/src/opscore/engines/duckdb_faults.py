"""DuckDB's faults in the house's words. Called wherever the DuckDB engine runs a statement.

With `errors_as_json` DuckDB says kind, text and byte position; batches that fail half-way arrive as Arrow's OSError
around the same text, so the text is read and not the exception's class.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from opscore.domain.errors import LakeUnavailable, OpsError, QueryFailed, StorageFull


@dataclass(frozen=True, slots=True)
class Fault:
    """What DuckDB said. position: bytes from the statement's start, None when it named none."""

    kind: str
    text: str
    position: int | None

    @classmethod
    def read(cls, error: Exception) -> Fault:
        """Take an exception's text apart."""
        kind, _, rest = str(error).partition(" Error: ")
        if not rest.startswith("{"):
            return cls(kind, rest or kind, None)
        facts = orjson.loads(rest)
        position = facts.get("position")
        return cls(kind, facts["exception_message"], int(position) if position else None)


def explain(error: Exception, sql: str, *, prefix: str = "") -> OpsError:
    """The error to raise instead: QueryFailed with DuckDB's text and position, or what the machine lacks.

    prefix: what stood before sql in the text that DuckDB was given; positions are told in sql itself.
    """
    fault = Fault.read(error)
    if "No space left on device" in fault.text:
        return StorageFull(where="the statement's intermediate results")
    if fault.kind == "Out of Memory":
        return _out_of_room(fault)
    if fault.kind in {"IO", "HTTP"}:
        return LakeUnavailable(where="the tables' files", reason=fault.text.splitlines()[0])
    return _refused(fault, sql, len(prefix.encode()))


def _out_of_room(fault: Fault) -> OpsError:
    if "offload" in fault.text and "temp" in fault.text:
        return StorageFull(where="the statement's intermediate results")
    return QueryFailed(
        f"The statement needs more memory than it may use ({fault.text.splitlines()[0]}).",
        hint="Read fewer columns or rows, or aggregate before you sort or join.",
    )


def _refused(fault: Fault, sql: str, skipped: int) -> QueryFailed:
    message = f"{fault.kind} Error: {' '.join(fault.text.split())}"
    if fault.position is None or fault.position < skipped:
        return QueryFailed(message)
    before = sql.encode()[: fault.position - skipped].decode(errors="ignore")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return QueryFailed(f"{message} (line {line}, column {column})", line=line, column=column)
