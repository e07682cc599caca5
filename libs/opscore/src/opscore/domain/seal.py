"""The hash chain over the event log: what a seal says and the texts that are hashed and signed.

Written by `ops.seal_events`, recomputed by `event verify`. docs/events.md describes both texts for other programs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from opscore.domain.event import Position

START = "0" * 64
CUT = "seals"


@dataclass(frozen=True, slots=True)
class Part:
    """What a seal says about one partition. digest: over the digests of its events."""

    partition: str
    events: int
    digest: str


@dataclass(frozen=True, slots=True)
class Seal:
    """One link: all events behind `start` up to `end`, or, with `dropped`, the record that retention took a partition.

    dropped: a partition, or CUT for the chain's own beginning, whose part tells the last number and digest that went.
    marks_digest: of the marks that tell where a batch was changed. parts_text: the parts as stored, byte for byte.
    at_us: microseconds since 1970.
    """

    n: int
    previous: str
    start: Position
    end: Position
    events: int
    parts: tuple[Part, ...]
    parts_text: str
    dropped: str | None
    at_us: int
    marks_digest: str
    digest: str

    def computed(self) -> str:
        """The digest that the row must have."""
        fields = (
            *("lakehouse events 1", self.n, self.previous, self.start.xid, self.start.seq, self.end.xid, self.end.seq),
            *(self.events, self.dropped or "", self.at_us, self.marks_digest, self.parts_text),
        )
        return hashlib.sha256("\n".join(str(field) for field in fields).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """A link's number and digest: enough to prove later that the log up to it is what it was."""

    n: int
    digest: str

    def text(self) -> bytes:
        """What is signed."""
        return f"lakehouse events 1\n{self.n}\n{self.digest}".encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head that was kept apart. signature: base64, with the key it was made with; both None when it is unsigned."""

    head: Head
    key_id: str | None
    signature: str | None
