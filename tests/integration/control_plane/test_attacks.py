"""Whatever the tables' owner changes in a sealed log is found: seeded attacks on events, seals, checkpoints and partitions.

Each is made and verified in a transaction that is rolled back. LAKEHOUSE_TEST_ATTACKS says how many,
LAKEHOUSE_TEST_SEED with which seed; a failure names both.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.client.verifying import Verdict, Verification
from opscore.db.chain_reader import INDEXES_ONLY, ChainReader
from opscore.domain.seal import Head
from opscore.signing import Signer, Verifier, load_signer, load_verifier, make_key
from support.plane import Plane

ATTACKS = int(os.environ.get("LAKEHOUSE_TEST_ATTACKS", "1000"))
SEED = int(os.environ.get("LAKEHOUSE_TEST_SEED", "20260303"))
DAY = timedelta(days=1)

Attack = Callable[["Log"], Awaitable[str]]


class Log:
    """A sealed and signed log that retention has cut once, and what an owner can lay hands on."""

    def __init__(self, plane: Plane, dice: random.Random, verifier: Verifier) -> None:
        self.db = plane.db
        self.dice = dice
        self._verifier = verifier

    async def read(self) -> None:
        """What there is."""
        events = await self.db.fetch(
            "select seq, xid::text as xid, tableoid::regclass::text as partition from ops.run_events"
        )
        self.events = [(int(row["xid"]), row["seq"], row["partition"]) for row in events]
        self.seals = [row["n"] for row in await self.db.fetch("select n from ops.event_seals order by n")]
        signed = "select n from ops.event_checkpoints where signature is not null and n >= $1 order by n"
        self.signed = [row["n"] for row in await self.db.fetch(signed, self.seals[0])]

    def event(self) -> int:
        """The seq of one."""
        return self.dice.choice(self.events)[1]

    def place(self) -> tuple[str, int]:
        """A place where no event stands, in front of the head."""
        xid, seq, _ = self.dice.choice([event for event in self.events if event[0] < max(self.events)[0]])
        taken = {event[1] for event in self.events}
        return str(xid), next(free for free in range(seq + 1, seq + 10_000) if free not in taken)

    async def do(self, change: str, *args: Any) -> None:
        """Something that changes a row."""
        status = await self.db.execute(change, *args)
        assert not status.endswith(" 0"), f"{change} {args} changed nothing"

    async def verify(self) -> Verdict:
        """As `event verify` does, on this connection."""
        return await Verification(ChainReader(self.db), self._verifier, {}).run()


async def edit_an_event(log: Log) -> str:
    column, value = log.dice.choice(
        [
            ("data", "data || jsonb_build_object('planted', $2::float8)"),
            ("type", "type || $2::text"),
            ("at", "at + $2::float8 * interval '1 second'"),
            ("attempt", "attempt + 1 + (0 * $2::float8)::integer"),
            ("run_seq", "run_seq + 100 + (0 * $2::float8)::integer"),
            ("run_id", "md5($2::text)::uuid"),
        ]
    )
    change = value.replace("$2::text", "($2::float8)::text")
    await log.do(f"update ops.run_events set {column} = {change} where seq = $1", log.event(), log.dice.uniform(1, 1e6))
    return f"edit of {column}"


async def delete_events(log: Log) -> str:
    gone = log.dice.sample([event[1] for event in log.events], log.dice.randint(1, 5))
    await log.do("delete from ops.run_events where seq = any ($1)", gone)
    return f"delete of {len(gone)}"


async def insert_an_event(log: Log) -> str:
    xid, seq = log.place()
    await log.do(
        "insert into ops.run_events (seq, xid, run_id, run_seq, attempt, type, at, data)"
        " select $2, $3::text::xid8, run_id, run_seq + $4, attempt, type, at, data from ops.run_events where seq = $1",
        log.event(), seq, xid, log.dice.randint(0, 50),
    )  # fmt: skip
    return f"insert at {xid}, {seq}"


async def insert_before_everything(log: Log) -> str:
    _, seq = log.place()
    await log.do(
        "insert into ops.run_events (seq, xid, run_id, run_seq, attempt, type, at)"
        " values ($1, '0', gen_random_uuid(), 1, 0, 'RUN_CREATED', now())", seq,
    )  # fmt: skip
    return "insert before the first event"


async def move_an_event(log: Log) -> str:
    xid, seq = log.place()
    await log.do("update ops.run_events set xid = $2::text::xid8, seq = $3 where seq = $1", log.event(), xid, seq)
    return f"move to {xid}, {seq}"


async def swap_events(log: Log) -> str:
    one, other = log.dice.sample([event[1] for event in log.events], 2)
    await log.do(
        "update ops.run_events as e set run_id = o.run_id, run_seq = o.run_seq, attempt = o.attempt, type = o.type,"
        " at = o.at, data = o.data from ops.run_events as o where (e.seq, o.seq) in (($1, $2), ($2, $1))", one, other,
    )  # fmt: skip
    return f"swap of {one} and {other}"


async def edit_a_seal(log: Log) -> str:
    column, change = log.dice.choice(
        [
            ("previous", "encode(sha256(previous::bytea), 'hex')"),
            ("from_xid", "(from_xid::text::bigint + 1)::text::xid8"),
            ("from_seq", "from_seq + 1"),
            ("upto_xid", "(upto_xid::text::bigint + 1)::text::xid8"),
            ("upto_seq", "upto_seq + 1"),
            ("parts", "jsonb_set(parts, '{0,events}', to_jsonb((parts -> 0 ->> 'events')::integer + 1))"),
            ("parts", "jsonb_set(parts, '{0,digest}', to_jsonb(digest))"),
            ("parts", "jsonb_set(parts, '{0,partition}', '\"run_events_p1\"')"),
            ("at", "at - interval '1 microsecond'"),
            ("digest", "encode(sha256(digest::bytea), 'hex')"),
            ("marks", "marks || '\\x00'"),
        ]
    )
    await log.do(f"update ops.event_seals set {column} = {change} where n = $1", log.dice.choice(log.seals))
    return f"edit of a seal's {column}"


async def delete_seals(log: Log) -> str:
    gone = log.dice.sample(log.seals, log.dice.randint(1, 3))
    await log.do("delete from ops.event_seals where n = any ($1)", gone)
    return f"delete of seals {gone}"


async def insert_a_seal(log: Log) -> str:
    n = log.dice.choice([log.seals[0] - 1, log.seals[-1] + 1])
    await log.do(
        "insert into ops.event_seals select $2, encode(sha256(previous::bytea), 'hex'), from_xid, from_seq, upto_xid, upto_seq,"
        " events, parts, dropped, at, encode(sha256(digest::bytea), 'hex'), marks from ops.event_seals where n = $1",
        log.dice.choice(log.seals), n,
    )  # fmt: skip
    return f"insert of seal {n}"


async def swap_seals(log: Log) -> str:
    one, other = log.dice.sample(log.seals, 2)
    await log.do("update ops.event_seals set n = 1000000 where n = $1", one)
    await log.do("update ops.event_seals set n = $2 where n = $1", other, one)
    await log.do("update ops.event_seals set n = $1 where n = 1000000", other)
    return f"swap of seals {one} and {other}"


async def take_the_beginning_away(log: Log) -> str:
    """Seals and their events, with the checkpoint that retention would have left."""
    first = log.dice.choice(log.seals[2:])
    row = await log.db.fetchrow(
        "select digest, upto_xid::text as xid, upto_seq from ops.event_seals where n = $1", first - 1
    )
    assert row is not None
    await log.db.execute(
        "delete from ops.run_events where (xid, seq) <= ($1::text::xid8, $2)", row["xid"], row["upto_seq"]
    )
    await log.do("delete from ops.event_seals where n < $1", first)
    await log.db.execute(
        "insert into ops.event_checkpoints (n, digest, at) values ($1, $2, now()) on conflict do nothing",
        first - 1, row["digest"],
    )  # fmt: skip
    return f"seals before {first} and their events"


async def seal_anew_after_an_edit(log: Log) -> str:
    n = log.dice.choice(log.signed)
    await log.do(
        "delete from ops.run_events as e using ops.event_seals as s where s.n = $1"
        " and (e.xid, e.seq) = (s.upto_xid, s.upto_seq)", n,
    )  # fmt: skip
    await log.do("delete from ops.event_seals where n >= $1", n)
    await log.db.fetch("select * from ops.seal_events(1000)")
    return f"a chain made anew from {n}"


async def edit_a_checkpoint(log: Log) -> str:
    column, value = log.dice.choice(
        [
            ("digest", "encode(sha256(digest::bytea), 'hex')"),
            ("key_id", "reverse(key_id)"),
            ("signature", "reverse(signature)"),
        ]
    )
    await log.do(f"update ops.event_checkpoints set {column} = {value} where n = $1", log.dice.choice(log.signed))
    return f"edit of a checkpoint's {column}"


async def delete_newest_checkpoints(log: Log) -> str:
    kept = log.dice.choice(log.signed[:-1])
    await log.do("delete from ops.event_checkpoints where n > $1", kept)
    return f"delete of checkpoints behind {kept}"


async def insert_a_checkpoint(log: Log) -> str:
    n = log.dice.choice(sorted({*log.seals, log.seals[-1] + 3} - set(log.signed)))
    await log.do(
        "insert into ops.event_checkpoints (n, digest, key_id, signature, at) select $1, coalesce((select s.digest from"
        " ops.event_seals as s where s.n = $1), $2), c.key_id, c.signature, c.at from ops.event_checkpoints as c where c.n = $3",
        n, "f" * 64, log.dice.choice(log.signed),
    )  # fmt: skip
    return f"insert of checkpoint {n}"


async def swap_checkpoints(log: Log) -> str:
    one, other = log.dice.sample(log.signed, 2)
    columns = log.dice.choice([("signature",), ("digest",), ("digest", "signature")])
    moves = ", ".join(f"{column} = o.{column}" for column in columns)
    await log.do(
        f"update ops.event_checkpoints as c set {moves} from ops.event_checkpoints as o"
        " where (c.n, o.n) in (($1, $2), ($2, $1))", one, other,
    )  # fmt: skip
    return f"swap of {columns} of checkpoints {one} and {other}"


async def take_a_partition_away(log: Log) -> str:
    name = log.dice.choice(sorted({event[2] for event in log.events}))
    await log.db.execute(log.dice.choice([f"drop table {name}", f"alter table ops.run_events detach partition {name}"]))
    return f"without partition {name}"


KINDS: list[Attack] = [
    edit_an_event, delete_events, insert_an_event, insert_before_everything, move_an_event, swap_events,
    edit_a_seal, delete_seals, insert_a_seal, swap_seals, take_the_beginning_away, seal_anew_after_an_edit,
    edit_a_checkpoint, delete_newest_checkpoints, insert_a_checkpoint, swap_checkpoints, take_a_partition_away,
]  # fmt: skip


async def some_days(plane: Plane, signer: Signer) -> None:
    """Three days of events, the first one dropped by retention; every seal but those of retention is signed."""
    for day in range(3):
        for _ in range(3):
            for _ in range(2):
                await plane.finish(await plane.work())
            await seal(plane, signer)
        await plane.pass_time(DAY)
        await plane.db.fetchval("select ops.ensure_event_partitions()")
        if day == 0:
            await plane.pass_time(90 * DAY)
    assert await plane.db.fetchval("select ops.drop_expired_events()") == 1
    await plane.enqueue()
    await seal(plane, signer)
    await plane.pass_time(timedelta(hours=1))


async def seal(plane: Plane, signer: Signer) -> None:
    while row := await plane.db.fetchrow("select * from ops.seal_events(5)"):
        head = Head(row["n"], row["digest"])
        await plane.db.execute(
            "select ops.sign_seal($1, $2, $3, $4)", head.n, head.digest, signer.key_id, signer.sign(head)
        )


@pytest.fixture
async def log(plane: Plane, tmp_path: Path) -> Log:
    make_key(tmp_path / "key.pem")
    await some_days(plane, load_signer(f"file:{tmp_path / 'key.pem'}"))
    for name, value in INDEXES_ONLY.items():
        await plane.db.fetch("select set_config($1, $2, false)", name, value)
    made = Log(plane, random.Random(SEED), load_verifier([f"file:{tmp_path / 'key.pem'}"]))
    await made.read()
    return made


async def test_every_attack_of_the_owner_on_a_sealed_log_is_found(log: Log) -> None:
    untouched = await log.verify()
    assert (untouched.faults, untouched.first != 1, untouched.signed_upto) == ([], True, log.seals[-1])

    missed: list[str] = []
    for number in range(ATTACKS):
        attack = KINDS[number % len(KINDS)] if number < len(KINDS) else log.dice.choice(KINDS)
        transaction = log.db.transaction()
        await transaction.start()
        await log.db.execute("set local session_replication_role = replica")
        what = await attack(log)
        if not (await log.verify()).faults:
            missed.append(f"{attack.__name__}: {what}")
        await transaction.rollback()

    assert missed == [], f"{len(missed)} of {ATTACKS} attacks with seed {SEED} were not found"
    assert (await log.verify()).faults == [], "every attack was undone"
