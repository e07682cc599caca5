"""The leader seals and signs; a standby does not; a rush is sealed in its own time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lakehouse_dispatcher.app import dispatch
from lakehouse_dispatcher.sealing import BATCH
from lakehouse_dispatcher.settings import DispatcherSettings
from opscore.domain.errors import InvalidSetting
from opscore.domain.seal import Checkpoint, Head
from opscore.observe.observation import EventsSealed, PartitionsDropped, RowsPruned
from opscore.ports.housekeeping import Sealed
from opscore.signing import load_signer, load_verifier, make_key
from opscore.testing.clock import settle
from opscore.testing.factories import make_service
from opscore.testing.memory import MemoryControlPlane
from opscore.testing.wakeups import ManualWakeups


class House:
    """A log to seal, and chores that always find something."""

    def __init__(self) -> None:
        self.waiting = 0
        self.sealed: list[Sealed] = []
        self.signed: list[Checkpoint] = []
        self.dropped = self.pruned = 0

    async def seal_events(self, limit: int) -> Sealed | None:
        count = min(self.waiting, limit)
        if not count:
            return None
        self.waiting -= count
        number = len(self.sealed) + 1
        self.sealed.append(Sealed(Head(number, f"{number:064x}"), count))
        return self.sealed[-1]

    async def sign_seal(self, head: Head, key_id: str, signature: str) -> bool:
        self.signed.append(Checkpoint(head, key_id, signature))
        return True

    async def drop_expired_events(self) -> int:
        self.dropped += 1
        return 1

    async def prune(self, limit: int) -> int:
        self.pruned += 1
        return limit if self.pruned == 1 else 7


class Desk:
    """A dispatcher with a house to keep."""

    def __init__(self, key: Path) -> None:
        make_key(key)
        settings = DispatcherSettings.load(database_url="postgresql://u:p@127.0.0.1/x", event_key=f"file:{key}")
        self.test = make_service("dispatcher")
        self.house = House()
        self.control = MemoryControlPlane(self.test.clock)
        bell = ManualWakeups(self.test.clock)
        self.work = asyncio.create_task(dispatch(self.control, bell, self.test.service, settings, None, self.house))

    async def advance(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            await self.test.clock.advance(0.5)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "key.pem")
    await settle()
    yield made
    made.work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await made.work


async def test_what_is_settled_is_sealed_and_signed_within_seconds(desk: Desk, tmp_path: Path) -> None:
    desk.house.waiting = 12

    await desk.advance(6)

    trusted = load_verifier([f"file:{tmp_path / 'key.pem'}"])
    assert [sealed.events for sealed in desk.house.sealed] == [12]
    assert [trusted.trusts(signed) for signed in desk.house.signed] == [True]
    assert desk.test.observer.of(EventsSealed) == [EventsSealed(12, 1)]


async def test_full_batches_follow_each_other_without_the_long_rest(desk: Desk) -> None:
    desk.house.waiting = 4 * BATCH + 1

    await desk.advance(6)

    assert [sealed.events for sealed in desk.house.sealed] == [BATCH] * 4 + [1]


async def test_a_standby_seals_nothing(desk: Desk) -> None:
    await desk.control.release_leadership("dispatcher", desk.control._leaders["dispatcher"][0])
    assert await desk.control.take_leadership("dispatcher", desk.test.service.name, 10_000_000)  # type: ignore[arg-type]
    await desk.advance(4)
    desk.house.sealed.clear()
    desk.house.waiting = 12

    await desk.advance(20)

    assert desk.house.sealed == []


async def test_partitions_are_dropped_and_rows_pruned_now_and_then(desk: Desk) -> None:
    await desk.advance(200)

    assert desk.test.observer.of(PartitionsDropped)[0] == PartitionsDropped(1)
    assert desk.test.observer.of(RowsPruned)[0] == RowsPruned(5007), "a full batch is followed by another"


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_none_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    (tmp_path / "key.pem").write_text(content)

    with pytest.raises(InvalidSetting, match="LAKEHOUSE_EVENT_KEY") as caught:
        load_signer(f"file:{tmp_path / 'key.pem'}")

    assert "AAAA" not in caught.value.message


@pytest.mark.parametrize("reference", ["/etc/key.pem", "file:/not/there.pem", "env:NOT_THERE"])
def test_a_reference_that_leads_nowhere_is_refused(reference: str) -> None:
    with pytest.raises(InvalidSetting, match="LAKEHOUSE_EVENT_KEY"):
        load_signer(reference)


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    make_key(tmp_path / "key.pem")
    first = load_signer(f"file:{tmp_path / 'key.pem'}").key_id
    make_key(tmp_path / "key.pem")

    assert load_signer(f"file:{tmp_path / 'key.pem'}").key_id == first
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
