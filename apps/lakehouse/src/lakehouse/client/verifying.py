"""The event log held against its seals: walks the chain once, batch by batch, and tells where it first breaks.

Used by `event verify`. Memory is bounded by one batch: the server hashes, and only a batch that does not match is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any

from opscore.db.chain_reader import ChainReader, Mark
from opscore.domain.event import Position
from opscore.domain.seal import CUT, START, Checkpoint, Head, Seal
from opscore.signing import Verifier

SEALS_AT_ONCE = 200
SIGNED_WITHIN_S = 300.0
BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the log is not what was sealed. batch: number of the seal; run_id: the first run touched, if known."""

    batch: int
    what: str
    run_id: str | None = None


@dataclass(slots=True)
class Verdict:
    """What was looked at and found. head: None when nothing is sealed. signed_upto: None without a good signature."""

    first: int | None = None
    head: Head | None = None
    batches: int = 0
    events: int = 0
    dropped_events: int = 0
    unsealed: int = 0
    signed_upto: int | None = None
    signatures: str = "not checked: no key is known"
    faults: list[Fault] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The object that `event verify -o json` prints."""
        first = self.faults[0] if self.faults else None
        return {
            "ok": first is None,
            "batches": self.batches,
            "events": self.events,
            "dropped_events": self.dropped_events,
            "unsealed": self.unsealed,
            "first_batch": self.first,
            "head": None if self.head is None else {"n": self.head.n, "digest": self.head.digest},
            "signatures": self.signatures,
            "signed_upto": self.signed_upto,
            "faults": len(self.faults),
            "batch": None if first is None else first.batch,
            "run_id": None if first is None else first.run_id,
            "fault": None if first is None else first.what,
        }


class Verification:
    """One walk along the chain."""

    def __init__(self, chain: ChainReader, verifier: Verifier, known_heads: dict[int, str]) -> None:
        """known_heads: number -> digest of heads that were kept outside of the database."""
        self._chain = chain
        self._verifier = verifier
        self._known = known_heads
        self._verdict = Verdict()
        self._partitions: set[str] = set()
        self._drops: dict[str, int] = {}
        self._cut = Head(0, START)

    async def run(self, since: datetime | None = None) -> Verdict:
        """Walk from the first seal made at or after `since`, or from the beginning, to the head."""
        self._partitions, self._drops = await self._chain.partitions(), await self._chain.drops()
        at = await self._start(since)
        while seals := await self._chain.seals(at.n, SEALS_AT_ONCE):
            checkpoints = {one.head.n: one for one in await self._chain.checkpoints(seals[0].n, seals[-1].n)}
            for seal in seals:
                await self._check(seal, at, checkpoints.get(seal.n))
                at = _After(seal.n, seal.digest, seal.end)
        self._verdict.unsealed, _ = await self._chain.unsealed(at.end or BEGINNING)
        if since is None:
            self._judge_the_cut(at)
        await self._judge_the_end(at)
        return self._verdict

    async def _start(self, since: datetime | None) -> _After:
        """What the first seal to look at must follow."""
        number = None if since is None else await self._chain.first_after(since)
        if since is not None and number is None:
            last = await self._chain.last_seal()
            return _After(last.n, last.digest, last.end) if last else _After(0, START, BEGINNING)
        found = await self._chain.seals(0 if number is None else number - 1, 1)
        if not found:
            return _After(0, START, BEGINNING)
        first = found[0]
        self._verdict.first = first.n
        if number is None:
            await self._check_the_beginning(first)
        return _After(0, START, BEGINNING) if first.n == 1 else _After(first.n - 1, first.previous, first.start)

    async def _check_the_beginning(self, first: Seal) -> None:
        """No event may stand before the chain; if retention cut it, there is the digest that it goes on from."""
        if first.n > 1:
            left = await self._chain.checkpoints(first.n - 1, first.n - 1)
            if not left or left[0].head.digest != first.previous:
                what = "the chain before this batch is gone and no checkpoint of retention tells its digest"
                self._fault(first.n, what)
            elif left[0].signature is not None:
                self._check_signature(left[0])
        stray = await self._chain.stray_before(first.start)
        if stray is not None:
            self._fault(first.n, "an event stands before the beginning of the chain", stray)

    async def _check(self, seal: Seal, after: _After, checkpoint: Checkpoint | None) -> None:
        verdict = self._verdict
        verdict.batches += 1
        verdict.head = Head(seal.n, seal.digest)
        if seal.n != after.n + 1:
            self._fault(seal.n, f"batches {after.n + 1} to {seal.n - 1} are missing from the chain")
        elif seal.previous != after.digest or seal.start != after.end:
            self._fault(seal.n, "the batch does not follow the one before it")
        if seal.computed() != seal.digest:
            self._fault(seal.n, "the seal itself was changed")
        if seal.n in self._known and self._known[seal.n] != seal.digest:
            self._fault(seal.n, "the digest is not the one that was kept outside of the database")
        if checkpoint is not None:
            self._check_checkpoint(seal, checkpoint)
        if seal.dropped is None:
            await self._check_events(seal)
        elif seal.dropped == CUT and seal.parts:
            self._cut = Head(seal.parts[0].events, seal.parts[0].digest)

    def _check_checkpoint(self, seal: Seal, checkpoint: Checkpoint) -> None:
        if checkpoint.head.digest != seal.digest:
            self._fault(seal.n, "the digest is not the one that was signed")
        if checkpoint.signature is not None:
            self._check_signature(checkpoint)

    def _check_signature(self, checkpoint: Checkpoint) -> None:
        if not self._verifier:
            return
        if self._verifier.trusts(checkpoint):
            self._verdict.signed_upto = checkpoint.head.n
        else:
            self._fault(checkpoint.head.n, f"the signature by key {checkpoint.key_id} is not by a key that is trusted")

    async def _check_events(self, seal: Seal) -> None:
        present = await self._chain.parts(seal)
        changed = False
        for part in seal.parts:
            found = present.pop(part.partition, None)
            if found is None and part.partition not in self._partitions:
                self._verdict.dropped_events += part.events
                if self._drops.get(part.partition, 0) < seal.n:
                    self._fault(seal.n, f"partition {part.partition} is gone and the chain records no drop of it")
            elif found != part:
                changed = True
            else:
                self._verdict.events += part.events
        if changed or present:
            self._verdict.faults.append(await self._explain(seal))

    async def _explain(self, seal: Seal) -> Fault:
        """The first place where the events of a batch are not those that were sealed."""
        sealed, present = await self._chain.sealed_marks(seal), await self._chain.present_marks(seal)
        places = enumerate(zip_longest(sealed, present))
        place = next((at for at, (was, now) in places if (was and was.mark) != (now and now.mark)), None)
        if place is None:
            return Fault(seal.n, "the events of this batch are not those that were sealed")
        was, now = sealed[place : place + 2], present[place : place + 2]
        if len(present) > len(sealed):
            return await self._blame(seal, now[0], "an event was inserted")
        if len(present) < len(sealed):
            return await self._blame(seal, was[0], "an event was deleted")
        if was[0].mark[:4] == now[0].mark[:4]:
            return await self._blame(seal, now[0], "an event was changed")
        return await self._blame(seal, was[0], "an event was changed or events changed places")

    async def _blame(self, seal: Seal, mark: Mark, what: str) -> Fault:
        run_id = mark.run_id or await self._chain.run_of(mark)
        named = str(run_id) if run_id else f"{mark.mark[:4].hex()}…"
        return Fault(seal.n, what, named)

    def _judge_the_cut(self, at: _After) -> None:
        """The chain begins where its own newest record of a cut says."""
        first = self._verdict.first or at.n + 1
        if first != self._cut.n + 1:
            self._fault(first, "the chain before this batch is gone and the chain records no cut there")

    async def _judge_the_end(self, at: _After) -> None:
        verdict = self._verdict
        ahead = [number for number in self._known if number > at.n]
        if ahead:
            self._fault(ahead[0], "a head that was kept outside of the database is missing from the chain")
        newest = await self._chain.last_signed()
        if newest is not None and newest.head.n > at.n:
            self._fault(newest.head.n, "a head that was signed is missing from the chain")
        if not self._verifier:
            return
        verdict.signatures = "checked"
        if at.n and (verdict.signed_upto or 0) < at.n and await self._chain.seal_age_s(at.n) > SIGNED_WITHIN_S:
            self._fault(
                at.n, f"nothing behind batch {verdict.signed_upto or 0} is signed: is the dispatcher's key set?"
            )

    def _fault(self, batch: int, what: str, run_id: object = None) -> None:
        self._verdict.faults.append(Fault(batch, what, None if run_id is None else str(run_id)))


@dataclass(frozen=True, slots=True)
class _After:
    """Where the walk stands: the last seal's number, digest and end."""

    n: int
    digest: str
    end: Position
