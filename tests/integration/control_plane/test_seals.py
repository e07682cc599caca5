"""The log's hash chain: whatever the table's owner does to a sealed event is found, and two sealers make one chain."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from lakehouse.client.verifying import Verdict, Verification
from opscore.db.chain_reader import open_chain
from opscore.domain.seal import Head
from opscore.signing import Verifier, load_signer, load_verifier, make_key
from support.plane import ENVIRONMENT, Plane


async def seal(plane: Plane, limit: int = 20_000) -> list[Head]:
    heads = []
    while row := await plane.db.fetchrow("select * from ops.seal_events($1)", limit):
        heads.append(Head(row["n"], row["digest"]))
    return heads


async def verify(plane: Plane, verifier: Verifier | None = None, known: dict[int, str] | None = None) -> Verdict:
    async with open_chain(plane.dsn, application="test") as chain:
        return await Verification(chain, verifier or Verifier({}), known or {}).run()


async def as_owner(plane: Plane, attack: str, *args: object) -> None:
    """What only somebody who owns the table can do: switch its triggers off first."""
    async with plane.db.transaction():
        await plane.db.execute("set local session_replication_role = replica")
        await plane.db.execute(attack, *args)


async def three_runs(plane: Plane) -> list[uuid.UUID]:
    """Three ended runs, each in a transaction of its own, so that their events are in order."""
    runs = []
    for _ in range(3):
        work = await plane.work()
        assert await plane.finish(work)
        runs.append(work.run_id)
    return runs


async def test_an_untouched_log_is_proven_whole(plane: Plane) -> None:
    await three_runs(plane)
    events = await plane.db.fetchval("select count(*) from ops.run_events")
    heads = await seal(plane, 5)

    verdict = await verify(plane)

    assert verdict.faults == []
    assert (verdict.batches, verdict.events, verdict.unsealed) == (len(heads), events, 0)
    assert verdict.head == heads[-1]


ATTACKS = {
    "an event was changed": "update ops.run_events set data = data || '{\"planted\": 1}' where run_id = $1 and run_seq = 2",
    "an event was deleted": "delete from ops.run_events where run_id = $1 and run_seq = 2",
    "an event was inserted": "insert into ops.run_events (seq, xid, run_id, run_seq, attempt, type, at) "
    "select seq, (xid::text::bigint - 1)::text::xid8, run_id, 99, 0, 'PHASE_SUCCEEDED', at from ops.run_events "
    "where run_id = $1 and run_seq = 2",
    "an event was changed or events changed places": "update ops.run_events as e set xid = o.xid, seq = o.seq from ops.run_events as o "
    "where e.run_id = $1 and e.run_seq = 2 and o.run_seq = 2 and o.run_id <> e.run_id",
}


@pytest.mark.parametrize("what", ["an event was changed", "an event was deleted", "an event was inserted"])
async def test_what_the_owner_does_to_a_sealed_event_is_found(plane: Plane, what: str) -> None:
    runs = await three_runs(plane)
    await seal(plane, 4)
    assert (await verify(plane)).faults == []

    await as_owner(plane, ATTACKS[what], runs[1])
    verdict = await verify(plane)

    batch = await plane.db.fetchval(
        "select min(s.n) from ops.event_seals as s, ops.run_events as e where e.run_id = $1 and e.run_seq between 2 and 3"
        " and (s.upto_xid, s.upto_seq) >= (e.xid, e.seq)",
        runs[1],
    )
    assert verdict.faults
    assert (verdict.faults[0].what, verdict.faults[0].run_id) == (what, str(runs[1]))
    assert verdict.faults[0].batch in {batch, batch - 1}


async def test_two_events_that_changed_places_are_found(plane: Plane) -> None:
    first, second, _ = await three_runs(plane)
    await seal(plane, 4)
    places = await plane.db.fetch(
        "select run_id, xid::text as xid, seq from ops.run_events where run_seq = 2 and run_id = any ($1)",
        [first, second],
    )
    here, there = sorted(places, key=lambda row: row["run_id"] != first)

    move = "update ops.run_events set xid = $2::text::xid8, seq = $3 where run_id = $1 and run_seq = 2"
    async with plane.db.transaction():
        await plane.db.execute("set local session_replication_role = replica")
        await plane.db.execute(move, first, "1", 0)
        await plane.db.execute(move, second, here["xid"], here["seq"])
        await plane.db.execute(move, first, there["xid"], there["seq"])
    verdict = await verify(plane)

    assert verdict.faults[0].run_id in {str(first), str(second)}
    assert "changed places" in verdict.faults[0].what


async def test_an_event_planted_before_the_very_first_is_found(plane: Plane) -> None:
    runs = await three_runs(plane)
    await seal(plane)

    await as_owner(
        plane,
        "insert into ops.run_events (seq, xid, run_id, run_seq, attempt, type, at) values (0, '0', $1, 0, 0, 'X', now())",
        runs[0],
    )
    verdict = await verify(plane)

    assert [(fault.what, fault.run_id) for fault in verdict.faults] == [
        ("an event stands before the beginning of the chain", str(runs[0]))
    ]


async def test_a_thousand_random_edits_and_deletes_are_all_found(plane: Plane) -> None:
    await plane.db.fetch(
        "select * from ops.enqueue_runs((select jsonb_agg(jsonb_build_object('environment_id', $1::text, 'pipeline', 'query'))"
        " from generate_series(1, 1000)))", str(ENVIRONMENT),
    )  # fmt: skip
    await seal(plane, 1)  # a batch per event: each attack must break one of its own

    await as_owner(plane, "update ops.run_events set data = data || '{\"x\": 1}' where seq % 2 = 0")
    await as_owner(plane, "delete from ops.run_events where seq % 2 = 1")
    verdict = await verify(plane)

    assert len(verdict.faults) == 1000


async def test_a_chain_that_was_recomputed_after_an_edit_contradicts_the_signature(
    plane: Plane, tmp_path: Path
) -> None:
    runs = await three_runs(plane)
    make_key(tmp_path / "key.pem")
    signer = load_signer(f"file:{tmp_path / 'key.pem'}")
    for head in await seal(plane, 4):
        assert await plane.db.fetchval(
            "select ops.sign_seal($1, $2, $3, $4)", head.n, head.digest, signer.key_id, signer.sign(head)
        )
    trusted = load_verifier([f"file:{tmp_path / 'key.pem'}"])
    before = await verify(plane, trusted)

    await as_owner(plane, ATTACKS["an event was changed"], runs[1])
    await as_owner(plane, "delete from ops.event_seals")
    await seal(plane, 4)
    verdict = await verify(plane, trusted)

    assert (before.faults, before.signed_upto) == ([], before.head and before.head.n)
    assert verdict.faults[0].what == "the digest is not the one that was signed"


async def test_a_forged_signature_is_found(plane: Plane, tmp_path: Path) -> None:
    await three_runs(plane)
    make_key(tmp_path / "ours.pem")
    make_key(tmp_path / "theirs.pem")
    (head,) = await seal(plane)
    theirs = load_signer(f"file:{tmp_path / 'theirs.pem'}")
    await plane.db.fetchval(
        "select ops.sign_seal($1, $2, $3, $4)", head.n, head.digest, theirs.key_id, theirs.sign(head)
    )

    verdict = await verify(plane, load_verifier([f"file:{tmp_path / 'ours.pem'}"]))

    assert "is not by a key that is trusted" in verdict.faults[0].what


async def test_a_chain_without_its_newest_signatures_is_found(plane: Plane, tmp_path: Path) -> None:
    await three_runs(plane)
    make_key(tmp_path / "key.pem")
    await seal(plane)
    await plane.pass_time(timedelta(hours=1))

    verdict = await verify(plane, load_verifier([f"file:{tmp_path / 'key.pem'}"]))

    assert "nothing behind batch 0 is signed" in verdict.faults[0].what


async def test_a_chain_whose_end_was_cut_off_contradicts_a_head_kept_elsewhere(plane: Plane) -> None:
    await three_runs(plane)
    heads = await seal(plane, 4)
    kept = {heads[-1].n: heads[-1].digest}

    await as_owner(plane, "delete from ops.event_seals where n = $1", heads[-1].n)
    verdict = await verify(plane, known=kept)

    assert verdict.faults[0].what == "a head that was kept outside of the database is missing from the chain"


async def test_a_seal_taken_out_of_the_middle_is_found(plane: Plane) -> None:
    await three_runs(plane)
    await seal(plane, 2)

    await as_owner(plane, "delete from ops.event_seals where n = 3")
    verdict = await verify(plane)

    assert verdict.faults[0].what == "batches 3 to 3 are missing from the chain"


async def test_an_event_is_not_sealed_before_every_older_transaction_has_ended(plane: Plane) -> None:
    late = await asyncpg.connect(plane.dsn)
    transaction = late.transaction()
    await transaction.start()
    await late.fetchval("select run_id from ops.enqueue_run($1, 'query')", ENVIRONMENT)
    await plane.enqueue()

    before = await seal(plane)
    await transaction.commit()
    after = await seal(plane)
    await late.close()

    assert (len(before), len(after)) == (0, 1)
    assert (await verify(plane)).faults == []


async def test_two_sealers_make_one_chain(plane: Plane) -> None:
    await plane.db.fetch(
        "select * from ops.enqueue_runs((select jsonb_agg(jsonb_build_object('environment_id', $1::text, 'pipeline', 'query'))"
        " from generate_series(1, 400)))", str(ENVIRONMENT),
    )  # fmt: skip
    sealers = [await asyncpg.connect(plane.dsn) for _ in range(2)]

    async def seal_all(db: asyncpg.Connection) -> int:
        sealed = 0
        while await db.fetchrow("select * from ops.seal_events(3)"):
            sealed += 1
        return sealed

    counts = await asyncio.gather(*(seal_all(db) for db in sealers))
    for db in sealers:
        await db.close()
    verdict = await verify(plane)

    assert min(counts) > 0, "both had a share"
    assert (verdict.faults, verdict.events, verdict.batches) == ([], 400, sum(counts))


@pytest.mark.parametrize("table", ["event_seals", "event_checkpoints"])
@pytest.mark.parametrize("change", ["update ops.{} set digest = digest", "truncate ops.{}"])
async def test_seals_are_never_changed(plane: Plane, table: str, change: str) -> None:
    await three_runs(plane)
    ((head),) = await seal(plane)
    await plane.db.execute("select ops.sign_seal($1, $2, 'k', 's')", head.n, head.digest)

    with pytest.raises(asyncpg.PostgresError, match="never changed"):
        await plane.db.execute(change.format(table))
