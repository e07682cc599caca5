"""Reports how attempts ended, in batches: one trip for all runs that ended while the last trip was under way.

Called by `run.py` (offer) and `work.py` (run, settle). An outcome is offered until it is answered or its lease is not
trusted any more; then another attempt owns the run and this one's end means nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from opscore.domain.errors import OpsError
from opscore.domain.run import Outcome, OutcomeKind
from opscore.observe.observation import LeaseDropped, RunEnded, WriteRefused
from opscore.ports.control_plane import Accepted, ControlPlane
from opscore.runtime.held import HeldLease
from opscore.runtime.retry import Backoff, persist
from opscore.runtime.service import Service

BATCH = 1000  # a full batch and what was left of the one before it
FINISH_BACKOFF = Backoff(first=0.05, longest=1.0)


@dataclass(slots=True)
class Ending:
    """An attempt's end on its way. started_at: monotonic. One per run, and a frozen one costs three times as much."""

    outcome: Outcome
    held: HeldLease
    pipeline: str
    started_at: float


class Finisher:
    """A queue with one sender."""

    def __init__(self, control: ControlPlane, service: Service, on_settled: Callable[[HeldLease], None]) -> None:
        """on_settled: told for each ending that needs no more care, however it came out."""
        self._control = control
        self._service = service
        self._on_settled = on_settled
        self._waiting: deque[Ending] = deque()
        self._sending = 0
        self._offered = anyio.Event()
        self._idle = anyio.Event()

    def offer(self, ending: Ending) -> None:
        """Queue an ending; it goes out at once when no trip is under way."""
        ending.held.ending = True
        if not self._waiting:  # else the sender knows already
            self._offered.set()
        self._waiting.append(ending)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._offered.wait()
            self._offered = anyio.Event()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
                self._sending = len(batch)
                await self._send(batch)
                self._sending = 0
            self._idle.set()
            self._idle = anyio.Event()

    async def settle(self) -> None:
        """Wait until everything offered so far was answered or given up."""
        while self._waiting or self._sending:
            await self._idle.wait()

    async def _send(self, batch: list[Ending]) -> None:
        """One trip, made again while leases are trusted. A refused content is told apart from its neighbours."""
        open_endings = batch

        async def finish() -> list[Accepted]:
            nonlocal open_endings
            open_endings = self._still_trusted(open_endings)
            if not open_endings:
                return []
            return await self._control.finish([ending.outcome for ending in open_endings])

        try:
            answers = await persist(finish, "finish", self._service, backoff=FINISH_BACKOFF)
        except OpsError as error:
            await self._send_apart(open_endings, error)
            return
        self._settle_answers(open_endings, answers)

    async def _send_apart(self, endings: list[Ending], error: OpsError) -> None:
        if len(endings) > 1:
            for ending in endings:
                await self._send([ending])
            return
        ending = endings[0]
        if ending.outcome.kind is OutcomeKind.FAILED and not ending.outcome.events:
            raise error
        bare = Outcome(ending.outcome.lease, OutcomeKind.FAILED, error=error.as_json())
        await self._send([replace(ending, outcome=bare)])

    def _still_trusted(self, endings: list[Ending]) -> list[Ending]:
        now = self._service.clock.monotonic()
        trusted = [ending for ending in endings if now < ending.held.trusted_until]
        if len(trusted) < len(endings):
            for ending in endings:
                if now >= ending.held.trusted_until:
                    self._service.observer.notice(LeaseDropped(ending.outcome.lease.run_id, "untrusted"))
                    self._on_settled(ending.held)
        return trusted

    def _settle_answers(self, endings: list[Ending], answers: list[Accepted]) -> None:
        now = self._service.clock.monotonic()
        answered = {answer.run_id: answer for answer in answers}
        for ending in endings:
            self._on_settled(ending.held)
            answer = answered[ending.outcome.lease.run_id]
            took = now - ending.started_at
            self._service.observer.notice(
                RunEnded(answer.run_id, ending.pipeline, ending.outcome.kind, answer.state or "", took)
                if answer.accepted
                else WriteRefused(answer.run_id, "finish")
            )
