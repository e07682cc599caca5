"""The executor's pulse: one trip renews the leases of all its runs, carries their news and brings the verdicts back.

Called by the executor. A run is beaten when its lease is due for renewal, when it has news, or when the doorbell
hints that somebody wants it stopped; without any run an empty beat says that the executor is alive.
A lease that no answer confirmed for two thirds of its life is given up here, before the database gives it away.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import anyio

from opscore.domain.errors import Canceled, ControlPlaneUnavailable, LeaseLost, OpsError, TimeLimit
from opscore.domain.lease import Lease
from opscore.domain.run import Verdict
from opscore.observe.observation import BeatAnswered, CancelHeard, LeaseDropped
from opscore.ports.control_plane import Beat, ControlPlane
from opscore.runtime.held import HeldLease
from opscore.runtime.retry import Backoff, persist
from opscore.runtime.service import Service
from opscore.runtime.stopping import sleep_unless

ALIVE_EVERY = 2.0
NEWS_EVERY = 0.5
BEAT_BACKOFF = Backoff(first=0.05, longest=1.0)
LONGEST_WATCH = 1.0
BATCH = 500


class Heart:
    """Beats for all runs of one executor."""

    def __init__(self, control: ControlPlane, executor_id: UUID, service: Service) -> None:
        """service: its clock decides when beats go out; the database's clock decides when leases end."""
        self._control = control
        self._executor_id = executor_id
        self._service = service
        self._clock = service.clock
        self._held: dict[UUID, HeldLease] = {}  # by token: a run may come back under a new lease
        self._last = float("-inf")
        self._poke = anyio.Event()
        self._answer = anyio.Event()  # set when the next beat that begins from now on was answered
        self._urgent = False
        self._news = False
        self._asked = False

    def __len__(self) -> int:
        return len(self._held)

    def held(self) -> list[HeldLease]:
        """The leases held now."""
        return list(self._held.values())

    def holds(self, token: UUID) -> bool:
        """Whether a lease is held now."""
        return token in self._held

    def hold(self, lease: Lease, *, answered_at: float, light: bool = False) -> HeldLease:
        """Keep a lease renewed until `let_go`. answered_at: see HeldLease."""
        held = HeldLease(lease, answered_at=answered_at, light=light, deliver=self.deliver, news=self._tell)
        self._held[lease.token] = held
        return held

    def let_go(self, held: HeldLease) -> None:
        """Stop renewing."""
        self._held.pop(held.lease.token, None)

    async def deliver(self) -> None:
        """Send a beat now; returns once one that began after this call was answered."""
        answer = self._answer
        self._urgent = True
        self._poke.set()
        await answer.wait()

    def ask(self) -> None:
        """Somebody may want a run stopped: hear the verdicts soon."""
        if any(not held.light for held in self._held.values()):
            self._asked = True
            self._poke.set()

    async def run(self) -> None:
        """Beat until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch)
            while True:
                await self._rest()
                answer, self._answer = self._answer, anyio.Event()
                asked, self._urgent, self._news, self._asked = self._asked, False, False, False
                await persist(
                    lambda asked=asked: self._beat_all(asked=asked), "beat", self._service, backoff=BEAT_BACKOFF
                )
                answer.set()

    def _tell(self) -> None:
        if not self._news:
            self._news = True
            self._poke.set()

    async def _rest(self) -> None:
        while not self._urgent:
            self._poke = anyio.Event()
            wait = self._next_at() - self._clock.monotonic()
            if wait <= 0:
                return
            await sleep_unless(self._poke, wait, self._clock)

    def _next_at(self) -> float:
        moments = [held.renew_at for held in self._held.values() if held.is_renewed]
        moments.append(self._last + (NEWS_EVERY if self._news or self._asked else ALIVE_EVERY))
        return min(moments)

    async def _beat_all(self, *, asked: bool) -> None:
        now = self._clock.monotonic()
        due = [held for held in self._held.values() if held.is_renewed and self._is_due(held, now, asked=asked)]
        for start in range(0, max(len(due), 1), BATCH):
            await self._beat(due[start : start + BATCH])

    def _is_due(self, held: HeldLease, now: float, *, asked: bool) -> bool:
        return held.has_news or held.renew_at <= now or (asked and not held.light)

    async def _beat(self, due: list[HeldLease]) -> None:
        """One trip. Content comes back to its run when the trip fails; content that is refused fails its run alone."""
        beats = [held.take_beat() for held in due]
        try:
            await self._send(due, beats)
        except ControlPlaneUnavailable:
            _untake(due, beats)
            raise
        except OpsError as error:
            if len(due) == 1 and _carries_news(beats[0]):
                due[0].stop(error)
                return
            if len(due) < 2:
                raise
            _untake(due, beats)
            for held in due:
                await self._beat([held])

    async def _send(self, due: list[HeldLease], beats: list[Beat]) -> None:
        asked_at = self._clock.monotonic()
        draining = self._service.stopping.draining
        verdicts = await self._control.beat(self._executor_id, beats, draining=draining)
        self._last = asked_at
        self._service.observer.notice(BeatAnswered(len(beats), self._clock.monotonic() - asked_at))
        for held in due:
            self._heed(held, verdicts.get(held.lease.run_id, Verdict.LEASE_LOST), asked_at)

    def _heed(self, held: HeldLease, verdict: Verdict, asked_at: float) -> None:
        if held.ending:
            return  # its end overtook the beat
        run_id = held.lease.run_id
        if verdict is Verdict.LEASE_LOST:
            if held.stop(LeaseLost(run_id=run_id, write="beat")):
                self._service.observer.notice(LeaseDropped(run_id, "refused"))
            return
        held.answered(asked_at)
        if verdict is Verdict.CANCEL and held.stop(Canceled(run_id=run_id)):
            self._service.observer.notice(CancelHeard(run_id))

    async def _watch(self) -> None:
        """Give up leases that no answer confirmed in time, and work that takes too long, even while a beat hangs."""
        while True:
            now = self._clock.monotonic()
            for held in self.held():
                if held.is_renewed and held.trusted_until <= now and held.stop(_untrusted(held.lease)):
                    self._service.observer.notice(LeaseDropped(held.lease.run_id, "untrusted"))
                elif held.stop_at <= now and not held.ending:
                    held.stop(TimeLimit(phase=held.phase, seconds=held.time_limit))
            shortest = min((held.lease.ttl_ms for held in self._held.values()), default=LONGEST_WATCH * 12_000)
            await self._clock.sleep(min(shortest / 12_000, LONGEST_WATCH))


def _untake(due: Iterable[HeldLease], beats: Iterable[Beat]) -> None:
    for held, beat in zip(due, beats, strict=True):
        held.untake(beat)


def _carries_news(beat: Beat) -> bool:
    return bool(beat.events) or beat.checkpoint is not None or beat.progress is not None


def _untrusted(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"No beat of run {lease.run_id} was answered for {lease.trusted_ms} ms: its lease counts as lost.",
        hint="Another attempt takes the run over. Throw this attempt's work away.",
    )
