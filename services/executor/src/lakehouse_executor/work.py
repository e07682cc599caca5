"""The executor's loop: takes work orders while slots are free, starts them, and lets them out at a stop.

Called by `app.py`. Runs whose phases never wait are carried one after the other in one task, the others each in
their own. When no dispatcher has handed anything over for a while, the executor helps itself: work never strands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import anyio
from anyio.abc import TaskGroup

from lakehouse_executor.finishing import Ending, Finisher
from lakehouse_executor.run import Attempt, Tools
from opscore.domain.errors import ControlPlaneUnavailable
from opscore.domain.run import Outcome, OutcomeKind, WorkOrder
from opscore.observe.observation import RunInterrupted, RunStarted, WorkTaken
from opscore.ports.control_plane import ControlPlane
from opscore.ports.wakeups import Wakeups
from opscore.runtime.beat import Heart
from opscore.runtime.held import HeldLease, Interrupted
from opscore.runtime.loop import NOTHING, Found, Pace, work_when_woken
from opscore.runtime.rings import Heard
from opscore.runtime.service import Service

BATCH = 1000
BREATHE_EVERY = 0.02  # seconds of light runs between two chances for other tasks; a full batch of short ones fits in
GIVE_BACK_TIMEOUT = 5.0


class Executor:
    """One executor process' work."""

    def __init__(
        self,
        executor_id: UUID,
        tools: Tools,
        wakeups: Wakeups,
        service: Service,
        *,
        slots: int,
        drain_s: float = 20.0,
        claim_after_s: float = 5.0,
        pace: Pace | None = None,
        session: UUID | None = None,
        heard: Callable[[], Heard] = Heard,
    ) -> None:
        """slots: runs at once. drain_s, claim_after_s: see ExecutorSettings. pace: scans of the loop.

        session: under which this process fetches what is handed over; None when it does not. heard: what rang since it
        was last asked: a ring that names the session says that something was.
        """
        self._id = executor_id
        self._tools = tools
        self._control: ControlPlane = tools.control
        self._wakeups = wakeups
        self._service = service
        self._slots = slots
        self._drain_s = drain_s
        self._claim_after_s = claim_after_s
        self._pace = pace or Pace(proven=claim_after_s, unproven=min(0.5, claim_after_s))
        self._heart = Heart(tools.control, executor_id, service)
        self._finisher = Finisher(tools.control, service, self._settled)
        self._handed_over_at = float("-inf")
        self._starved = False
        self._backlog = False
        self._session = session
        self._heard = heard
        self._owed = False  # a ring said that something was handed over, and it is not fetched yet
        self._looked_at = float("-inf")
        self._fetched_at = float("-inf")
        self._caught_up = False  # fetched since the bell was proven: nothing that rang meanwhile is missed
        self._fetched: set[UUID] = set()  # tokens of what was handed over and is under way
        self._light = 0  # runs under way that end within milliseconds
        self._freed = anyio.Event()

    async def run(self) -> None:
        """Work until a stop is asked for; then let runs end, give the rest back, and return."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._heart.run)
            group.start_soon(self._finisher.run)
            async with anyio.create_task_group() as runs:

                async def one_pass(rang: bool) -> Found:  # noqa: FBT001 - the loop's signature
                    return await self._one_pass(runs, rang=rang)

                await work_when_woken(one_pass, self._wakeups, self._service, doing="take work", pace=self._pace)
                await self._drain()
            await self._finisher.settle()
            group.cancel_scope.cancel()
        await self._sign_off()

    # --- taking -----------------------------------------------------------------------------------------------------

    async def _one_pass(self, runs: TaskGroup, *, rang: bool) -> Found:
        heard = self._heard()
        if rang and (heard.other or not heard.named):
            self._heart.ask()  # the ring may be somebody's cancel
        self._owed = self._owed or heard.named
        only_named = rang and heard.named and not heard.other
        started = await self._handed_over(runs)
        free = self._slots - len(self._heart)
        self._starved = free <= 0 or (self._light > 0 and free < min(self._slots // 2, BATCH))
        if self._starved:
            return NOTHING  # the next slots that fall free ring; those of light runs do so soon, and many at once
        limit = min(free, BATCH)
        asked_at = self._service.clock.monotonic()
        if started and only_named and not self._backlog and asked_at - self._looked_at < self._claim_after_s:
            return NOTHING
        self._looked_at = asked_at
        if self._backlog:
            orders = self._claimed(await self._control.claim_work(self._id, limit))
        else:
            orders = await self._take(limit, asked_at, rang=rang and not only_named)
        self._backlog = len(orders) == limit  # all that was asked for: more may be waiting
        if not orders:
            return NOTHING
        self._start(orders, asked_at, runs)
        return Found(again=len(orders) >= limit)

    async def _handed_over(self, runs: TaskGroup) -> bool:
        """Start what the transactions that added it handed over; a lost ring is made good by the next scan.

        They are started before anything else is waited for: once fetched, nobody else brings them.
        """
        asked_at = self._service.clock.monotonic()
        proven = self._wakeups.healthy
        self._caught_up = self._caught_up and proven
        missed = self._owed or (proven and not self._caught_up)
        scan_after = self._pace.proven if proven else self._pace.unproven
        if self._session is None or not (missed or asked_at - self._fetched_at >= scan_after):
            return False
        orders = self._claimed(await self._fetch(self._session))
        self._fetched_at, self._caught_up, self._owed = asked_at, proven, False
        self._start(orders, asked_at, runs)
        return bool(orders)

    async def _fetch(self, session: UUID) -> list[WorkOrder]:
        """What is new and may be trusted. A token is remembered while its run shows up or is held: none runs twice."""
        orders = await self._control.handed_over(self._id, session)
        known = self._fetched
        self._fetched = {order.lease.token for order in orders} | {token for token in known if self._heart.holds(token)}
        return [
            order for order in orders if order.lease.token not in known and order.leased_ms_ago < order.lease.trusted_ms
        ]

    async def _take(self, limit: int, asked_at: float, *, rang: bool) -> list[WorkOrder]:
        """Handed-over work; or, without a dispatcher, what we lease for ourselves."""
        orders = await self._control.take_work(self._id, limit)
        if orders:
            self._handed_over_at = asked_at
            self._service.observer.notice(WorkTaken(len(orders)))
            return orders
        if rang or asked_at - self._handed_over_at < self._claim_after_s:
            return orders
        return self._claimed(await self._control.claim_work(self._id, limit))

    def _claimed(self, orders: list[WorkOrder]) -> list[WorkOrder]:
        if orders:
            self._service.observer.notice(WorkTaken(len(orders), claimed=True))
        return orders

    def _start(self, orders: Sequence[WorkOrder], asked_at: float, runs: TaskGroup) -> None:
        light: list[Attempt] = []
        now = self._service.clock.now()
        for order in orders:
            is_light = self._tools.registry.is_light(order.remaining_phases)
            held = self._heart.hold(order.lease, answered_at=asked_at - order.leased_ms_ago / 1000, light=is_light)
            attempt = Attempt(order, held, self._tools, self._service)
            self._service.observer.notice(_started(order, now))
            if is_light:
                light.append(attempt)
            else:
                runs.start_soon(self._carry, attempt, asked_at)
        if light:
            self._light += len(light)
            runs.start_soon(self._carry_all, light, asked_at)

    # --- carrying ---------------------------------------------------------------------------------------------------

    async def _carry(self, attempt: Attempt, started_at: float) -> None:
        self._end(attempt, await attempt.carry(), started_at)

    async def _carry_all(self, attempts: Sequence[Attempt], started_at: float) -> None:
        await anyio.lowlevel.checkpoint()  # the loop asks for its next batch first: the database works meanwhile
        clock = self._service.clock
        breathed_at = clock.monotonic()
        for attempt in attempts:
            self._end(attempt, await attempt.carry(), started_at)
            if clock.monotonic() >= breathed_at + BREATHE_EVERY:
                await anyio.lowlevel.checkpoint()
                breathed_at = clock.monotonic()

    def _end(self, attempt: Attempt, outcome: Outcome | None, started_at: float) -> None:
        if outcome is None:
            self._settled(attempt.held)
        else:
            self._finisher.offer(Ending(outcome, attempt.held, attempt.order.pipeline, started_at))

    def _settled(self, held: HeldLease) -> None:
        self._heart.let_go(held)
        self._light -= held.light
        if self._starved:
            self._starved = False
            self._backlog = True  # full until now: more may be waiting, and nobody else knows of the slot
            self._wakeups.ring()
        if not len(self._heart):
            self._freed.set()

    # --- stopping ---------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Say so, give back what was leased but not begun, wait for the rest as long as it is granted."""
        await self._give_back_unstarted()
        await self._runs_end_or_time_is_up()
        for held in self._heart.held():
            if not held.ending and held.stop(Interrupted()):
                self._service.observer.notice(RunInterrupted(held.lease.run_id))

    async def _runs_end_or_time_is_up(self) -> None:
        async with anyio.create_task_group() as waits:

            async def when_hurried() -> None:
                await self._service.stopping.hurried()
                waits.cancel_scope.cancel()

            async def when_time_is_up() -> None:
                await self._service.clock.sleep(self._drain_s)
                waits.cancel_scope.cancel()

            waits.start_soon(when_hurried)
            waits.start_soon(when_time_is_up)
            await self._no_runs()
            waits.cancel_scope.cancel()

    async def _no_runs(self) -> None:
        while len(self._heart):
            self._freed = anyio.Event()
            await self._freed.wait()

    async def _give_back_unstarted(self) -> None:
        with anyio.move_on_after(GIVE_BACK_TIMEOUT):
            try:
                await self._control.beat(self._id, [], draining=True)
                asked_at = self._service.clock.monotonic()
                orders = await self._control.take_work(self._id, BATCH)
                if self._session is not None:
                    orders += await self._fetch(self._session)
                for order in orders:
                    held = self._heart.hold(order.lease, answered_at=asked_at - order.leased_ms_ago / 1000)
                    outcome = Outcome(order.lease, OutcomeKind.INTERRUPTED)
                    self._finisher.offer(Ending(outcome, held, order.pipeline, asked_at))
            except ControlPlaneUnavailable:
                return  # they come back when their start timeout ends

    async def _sign_off(self) -> None:
        """Be gone at once; without an answer it shows when nothing was heard for long enough."""
        with anyio.move_on_after(GIVE_BACK_TIMEOUT), contextlib.suppress(ControlPlaneUnavailable):
            await self._control.sign_off(self._id, self._session)


def _started(order: WorkOrder, now: datetime) -> RunStarted:
    waited = None
    if order.created_at is not None and order.lease.attempt == 1:
        waited = max((now - order.created_at).total_seconds(), 0.0)
    return RunStarted(order.lease.run_id, order.pipeline, order.lease.attempt, waited)
