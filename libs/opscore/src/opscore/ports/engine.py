"""A SQL engine as phases see it: mount table versions, run one statement, stream Arrow batches.

Implemented by `opscore.engines`, one file per engine; all pass one conformance suite. Blocking, so engines live in
worker processes: a stop is told to the engine by `cancel`, and a statement that does not heed it dies with its process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from opscore.domain.table import TableVersion

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one engine may use. memory_bytes: working memory before it spills to disk. threads: None = all cores."""

    memory_bytes: int = GIB
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class S3Access:
    """How `s3://` files are reached. Unset fields are left to the environment's defaults."""

    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """One column of a result. type: Iceberg's name, whatever the engine calls it."""

    name: str
    type: str


class Reading(Protocol):
    """A running statement. Leaving it before its end stops the work."""

    @property
    def schema(self) -> Any:
        """The result's pyarrow.Schema."""
        ...

    @property
    def columns(self) -> tuple[ResultColumn, ...]:
        """Names and Iceberg types of the result."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Yield pyarrow.RecordBatch in the statement's order, each of the size asked for but the last.

        Raises QueryFailed, StorageFull, LakeUnavailable.
        """
        ...


class Engine(Protocol):
    """One engine inside one worker process."""

    @property
    def name(self) -> str:
        """The engine's name in specs and on the command line."""
        ...

    def mount(self, tables: Iterable[TableVersion]) -> None:
        """Make versions readable under their full names; a name mounted again reads the newer version."""
        ...

    def lock(self) -> None:
        """From here on nothing but the mounted files can be read and no setting changes. Cannot be undone."""
        ...

    def check_readable(self, sql: str) -> None:
        """Pass when the text is one statement that only reads. Raises QueryFailed."""
        ...

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[ResultColumn, ...]:
        """What a statement would return, without running it. Raises QueryFailed."""
        ...

    def read(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        order_by: str | None = None,
        batch_rows: int = 65_536,
    ) -> Reading:
        """Start one statement; parameters are bound by name. order_by: the order its rows are wanted in, as SQL.

        batch_rows: rows of every batch but the last. Raises QueryFailed; positions in it are those of `sql`.
        """
        ...

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows as Python values (decimals as Decimal). For small results."""
        ...

    @property
    def statements(self) -> int:
        """How many statements it has begun for its callers."""
        ...

    def cancel(self) -> None:
        """Stop the running statement where it runs. Called from a signal handler or another thread; may come late."""
        ...

    def close(self) -> None:
        """Give memory and spill space back. May be called twice."""
        ...
