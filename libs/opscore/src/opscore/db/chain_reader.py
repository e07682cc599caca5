"""The event log's hash chain, read for `event verify`: seals in order, digests recomputed from the events themselves.

Asks the tables, not the functions that wrote them, over one connection of its own: a plan that reads whole partitions
per batch would never end, so this session may only use indexes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from opscore.db.errors import translated
from opscore.domain.event import Position
from opscore.domain.seal import Checkpoint, Head, Part, Seal

INDEXES_ONLY = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "work_mem": "64MB",
    "timezone": "UTC",
}

SEALS = """
select n, previous, from_xid::text, from_seq, upto_xid::text, upto_seq, events, parts::text as parts, dropped,
       (extract(epoch from at) * 1000000)::bigint as at_us, encode(sha256(marks), 'hex') as marks_digest, digest
  from ops.event_seals where n > $1 order by n limit $2
"""
EVENT_DIGEST = """
sha256(convert_to(jsonb_build_array(e.xid::text, e.seq, e.run_id, e.run_seq, e.attempt, e.type,
                                    (extract(epoch from e.at) * 1000000)::bigint, e.data)::text, 'UTF8'))
"""
BATCH = "(e.xid, e.seq) > ($1::text::xid8, $2::bigint) and (e.xid, e.seq) <= ($3::text::xid8, $4::bigint)"
PARTS = f"""
select (select c.relname::text from pg_class as c where c.oid = e.tableoid) as partition, count(*) as events,
       encode(sha256(string_agg({EVENT_DIGEST}, ''::bytea order by e.xid, e.seq)), 'hex') as digest
  from ops.run_events as e where {BATCH} group by e.tableoid
"""  # noqa: S608 - constants of this file
MARKS = f"""
select e.run_id, substr(uuid_send(e.run_id), 1, 4) || substr({EVENT_DIGEST}, 1, 4) as mark
  from ops.run_events as e where {BATCH} order by e.xid, e.seq
"""  # noqa: S608 - constants of this file
BEHIND = """
select count(*) as events, (extract(epoch from ops.now() - min(e.at)))::float8 as age
  from ops.run_events as e where (e.xid, e.seq) > ($1::text::xid8, $2::bigint)
"""
STRAYS = "select e.run_id from ops.run_events as e where (e.xid, e.seq) <= ($1::text::xid8, $2::bigint) limit 1"
RUN = "select r.id from ops.runs as r where r.id between $1 and $2 limit 1"
PARTITIONS = """
select c.relname::text from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
 where i.inhparent = 'ops.run_events'::regclass
"""
MARK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Mark:
    """Which event stands at a place of a batch. run_id: None where only the beginning of its id is known."""

    mark: bytes
    run_id: UUID | None = None


class ChainReader:
    """One look at the chain."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """connection: as a role that may read the log and its seals."""
        self._db = connection

    async def seals(self, after: int, limit: int) -> list[Seal]:
        """The next seals by number."""
        return [_seal(row) for row in await self._fetch(SEALS, after, limit)]

    async def first_after(self, moment: datetime) -> int | None:
        """Number of the first seal made at or after a moment."""
        return await self._value("select min(n) from ops.event_seals where at >= $1", moment)

    async def seal_age_s(self, number: int) -> float:
        """Seconds since a seal was made."""
        query = "select extract(epoch from ops.now() - at)::float8 from ops.event_seals where n = $1"
        return await self._value(query, number) or 0.0

    async def checkpoints(self, first: int, last: int) -> list[Checkpoint]:
        """Heads kept for these numbers, in order."""
        query = "select n, digest, key_id, signature from ops.event_checkpoints where n between $1 and $2 order by n"
        rows = await self._fetch(query, first, last)
        return [Checkpoint(Head(row["n"], row["digest"]), row["key_id"], row["signature"]) for row in rows]

    async def last_signed(self) -> Checkpoint | None:
        """The newest head that carries a signature."""
        number = await self._value("select max(n) from ops.event_checkpoints where signature is not null")
        return None if number is None else (await self.checkpoints(number, number))[0]

    async def last_seal(self) -> Seal | None:
        """The head of the chain."""
        number = await self._value("select max(n) from ops.event_seals")
        return None if number is None else (await self.seals(number - 1, 1))[0]

    async def drops(self) -> dict[str, int]:
        """Partition -> number of the seal that records its drop."""
        rows = await self._fetch("select dropped, n from ops.event_seals where dropped is not null")
        return {row["dropped"]: row["n"] for row in rows}

    async def partitions(self) -> set[str]:
        """Partitions there are."""
        return {row[0] for row in await self._fetch(PARTITIONS)}

    async def parts(self, seal: Seal) -> dict[str, Part]:
        """What the events themselves say about a batch, by partition."""
        rows = await self._fetch(PARTS, *_range(seal))
        return {row["partition"]: Part(row["partition"], row["events"], row["digest"]) for row in rows}

    async def sealed_marks(self, seal: Seal) -> list[Mark]:
        """The events of a batch as they were sealed."""
        kept: bytes = await self._value("select marks from ops.event_seals where n = $1", seal.n) or b""
        return [Mark(kept[place : place + MARK_BYTES]) for place in range(0, len(kept), MARK_BYTES)]

    async def present_marks(self, seal: Seal) -> list[Mark]:
        """The events of a batch as they are now."""
        return [Mark(row["mark"], row["run_id"]) for row in await self._fetch(MARKS, *_range(seal))]

    async def run_of(self, mark: Mark) -> UUID | None:
        """The run a mark belongs to; None when no run's id begins so."""
        beginning = mark.mark[:4].hex()
        return await self._value(RUN, UUID(beginning + "0" * 24), UUID(beginning + "f" * 24))

    async def unsealed(self, head: Position) -> tuple[int, float | None]:
        """How many events stand behind a position, and the age of the oldest in seconds."""
        (row,) = await self._fetch(BEHIND, str(head.xid), head.seq)
        return row["events"], row["age"]

    async def stray_before(self, position: Position) -> UUID | None:
        """The run of some event at or before a position."""
        return await self._value(STRAYS, str(position.xid), position.seq)

    async def _fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        with translated():
            return await self._db.fetch(query, *args)

    async def _value(self, query: str, *args: object) -> Any:
        with translated():
            return await self._db.fetchval(query, *args)


@asynccontextmanager
async def open_chain(dsn: str, *, application: str) -> AsyncGenerator[ChainReader]:
    """Connect for the length of the block. Raises ControlPlaneUnavailable."""
    with translated():
        connection = await asyncpg.connect(
            dsn, timeout=5, server_settings={"application_name": application, **INDEXES_ONLY}
        )
    try:
        yield ChainReader(connection)
    finally:
        connection.terminate()


def _range(seal: Seal) -> tuple[str, int, str, int]:
    return str(seal.start.xid), seal.start.seq, str(seal.end.xid), seal.end.seq


def _seal(row: asyncpg.Record) -> Seal:
    parts = tuple(Part(part["partition"], part["events"], part["digest"]) for part in orjson.loads(row["parts"]))
    return Seal(
        n=row["n"],
        previous=row["previous"],
        start=Position(int(row["from_xid"]), row["from_seq"]),
        end=Position(int(row["upto_xid"]), row["upto_seq"]),
        events=row["events"],
        parts=parts,
        parts_text=row["parts"],
        dropped=row["dropped"],
        at_us=row["at_us"],
        marks_digest=row["marks_digest"],
        digest=row["digest"],
    )
