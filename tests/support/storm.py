"""Everything that can go wrong, at seeded random moments, while work flows: kills, crashes, cut connections, zombies.

Faults are paced by the kills: crashes and cut connections each have their random places among them. Every fault counts
only once it was seen to have hit.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import psutil

from opscore.db.pool import Database
from opscore.domain.errors import ControlPlaneUnavailable
from support.house import House
from support.plane import ENVIRONMENT
from support.recorder import Mouth, Recorder

Value = TypeVar("Value")

EXECUTORS = ("executor-0", "executor-1")
SERVICES = ("dispatcher", "scorer", "notifier", "controlroom", *EXECUTORS)
SLEEPER = "sleeper"
PIPELINE = "storm"
BACKLOG = 60  # runs that are offered before the first fault, and ahead of the faults from then on
BATCH = 50
TRICKLE = 10  # runs that are offered beyond that when there is nothing to do

SHORT_LIFE = 2.0  # seconds
PATIENCE = 120.0  # seconds in which some fault must hit, or in which everything must end after the last one

CONNECTIONS = """
    select pid from pg_stat_activity
     where datname = current_database() and application_name like 'lakehouse-%' order by backend_start, pid
"""
OPEN = "select exists (select from ops.open_runs)"
UNSCORED = """
    select exists (
      select from ops.runs as r
       where r.pipeline = $1 and r.state in ('succeeded', 'failed') and not exists (select from ops.run_scores as s where s.run_id = r.id)
    )
"""
ENDED = "select state in ('succeeded', 'failed', 'canceled') from ops.runs where id = $1"


@dataclass(frozen=True)
class Dose:
    """How much of each."""

    runs: int
    kills: int
    crashes: int
    terminations: int
    zombies: int

    @classmethod
    def share(cls, of_all: float) -> Dose:
        """A share of the whole dose, at least one of each."""
        whole = (10_000, 1_000, 100, 200, 100)
        return cls(*(max(round(each * of_all), 1) for each in whole))


@dataclass
class Storm:
    """One storm over one house. killed, crashed, cut, zombies: what was seen to have hit so far;
    fallen: services that ended although nobody killed them."""

    house: House
    database: Database
    recorder: Recorder
    mouth: Mouth
    dose: Dose
    seed: int
    killed: Counter[str] = field(default_factory=Counter[str])
    fallen: Counter[str] = field(default_factory=Counter[str])
    crashed: int = 0
    cut: int = 0
    zombies: int = 0
    offered: int = 0
    _slept: int = 0
    _stuck_at: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(PATIENCE))

    def __str__(self) -> str:
        return (
            f"seed {self.seed}, {self.dose}; hit so far: {self.offered} runs offered, {self.killed.total()} kills "
            f"{dict(self.killed)}, {self.crashed} crashes of Postgres, {self.cut} connections cut, {self.zombies} zombies; "
            f"fell by themselves: {dict(self.fallen)}; heard: {dict(self.recorder.counts)}"
        )

    async def blow(self) -> None:
        """Until the whole dose has hit and every run has ended; TimeoutError when nothing moves any more."""
        for service in (*SERVICES, SLEEPER):
            self._start(service)
        async with self._stuck_at:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._offer())
                group.create_task(self._crash())
                group.create_task(self._cut())
                group.create_task(self._wake_sleepers())
                for service in SERVICES:
                    group.create_task(self._kill(service))
            await self._everything_ends()
            self._goes_on()
            await self._all_is_scored()

    def _goes_on(self) -> None:
        self._stuck_at.reschedule(asyncio.get_running_loop().time() + PATIENCE)

    # --- work -------------------------------------------------------------------------------------------------------

    async def _offer(self) -> None:
        """As many runs as faults have hit, in proportion, and a few more whenever there is nothing to do.

        A fault among idle services proves little, and without work nobody turns into a zombie.
        """
        while self.offered < self.dose.runs or self._faults() < self._all_faults():
            due = min(math.ceil(self.dose.runs * self._faults() / self._all_faults()) + BACKLOG, self.dose.runs)
            if self.offered < due:
                await self._enqueue(min(BATCH, due - self.offered))
            elif not await self._persist(lambda: self.database.fetchval(OPEN)):
                await self._enqueue(TRICKLE)
                await asyncio.sleep(0.5)
            await asyncio.sleep(0.1)

    async def _enqueue(self, count: int) -> None:
        offered = [
            {"environment_id": ENVIRONMENT, "pipeline": PIPELINE, "idempotency_key": f"storm-{number}"}
            for number in range(self.offered, self.offered + count)
        ]
        rows = await self._persist(lambda: self.database.fetch("select run_id from ops.enqueue_runs($1)", offered))
        for row in rows:
            self.mouth.say("enqueued", run=row["run_id"])
        self.offered += count

    async def _everything_ends(self) -> None:
        while await self._persist(lambda: self.database.fetchval(OPEN)):  # noqa: ASYNC110 - others end them
            await asyncio.sleep(0.2)

    async def _all_is_scored(self) -> None:
        """The scorer followed the log to its end, however often it died on the way."""
        while await self._persist(lambda: self.database.fetchval(UNSCORED, PIPELINE)):  # noqa: ASYNC110 - the scorer does it
            await asyncio.sleep(0.2)

    def _faults(self) -> int:
        """How many of the dose have hit."""
        killed = min(self.killed.total(), self.dose.kills)
        return killed + self.crashed + self.cut + self.zombies

    def _all_faults(self) -> int:
        return self.dose.kills + self.dose.crashes + self.dose.terminations + self.dose.zombies

    # --- kill -9 ----------------------------------------------------------------------------------------------------

    async def _kill(self, service: str) -> None:
        """A service lives for a random while, now and then not even long enough to come up, and is started again.

        The longest life of an executor doubles while nothing ends in between, as a slow machine needs longer.
        """
        chance = random.Random(f"{self.seed}:{service}")
        longest, ended = SHORT_LIFE, 0
        while not self._enough_killed(service):
            if chance.random() < 0.7:
                await self._ready(service)
            await asyncio.sleep(chance.uniform(0.0, longest))
            self._kill_now(service)
            self._start(service)
            self.recorder.heard()
            fruitless = service in EXECUTORS and self.recorder.counts["ended"] == ended
            longest = min(longest * 2, 60.0) if fruitless else SHORT_LIFE
            ended = self.recorder.counts["ended"]

    def _enough_killed(self, service: str) -> bool:
        """Each has its part, so that nobody dies in another's place only because it is quicker to come back."""
        return self.killed[service] * len(SERVICES) >= self.dose.kills

    def _kill_now(self, service: str) -> None:
        process = self.house.processes[service]
        self.fallen[service] += process.poll() is not None
        self.house.kill(service)
        self.killed[service] += process.returncode == -signal.SIGKILL
        self._goes_on()

    def _start(self, name: str) -> None:
        health = self.house.folder / f"{name}.health"
        health.unlink(missing_ok=True)
        extra = {"LAKEHOUSE_HEALTH_FILE": str(health)}
        if name in EXECUTORS or name == SLEEPER:
            extra |= {"STORM_RECORDER": self.recorder.address, "LAKEHOUSE_EXECUTOR_SLOTS": "10"}
            if name == SLEEPER:
                extra |= {"STORM_STALL_EVERY": "1", "LAKEHOUSE_EXECUTOR_NAME": SLEEPER, "LAKEHOUSE_EXECUTOR_SLOTS": "1"}
            self.house.start("executor", name=name, module="support.storm_executor", **extra)
        else:
            self.house.start(name, **extra)

    async def _ready(self, name: str) -> None:
        """Until it has come up, or has ended before it did."""
        process = self.house.processes[name]
        health = self.house.folder / f"{name}.health"
        while process.poll() is None and not health.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)

    # --- crashes and cut connections --------------------------------------------------------------------------------

    async def _crash(self) -> None:
        """What `pg_ctl stop -m immediate` does, and a start on the same data: recovery from the log."""
        async for _ in self._moments("crash", self.dose.crashes):
            server = self.house.postgres.embedded
            before = server.identity
            assert before is not None
            os.kill(before.pid, signal.SIGQUIT)
            while server.is_running():  # noqa: ASYNC110 - another process ends
                await asyncio.sleep(0.01)
            await server.restart()
            self.crashed += server.identity is not None and server.identity.pid != before.pid
            self._goes_on()

    async def _cut(self) -> None:
        chance = random.Random(f"{self.seed}:connection")
        async for _ in self._moments("cut", self.dose.terminations):
            hit = False
            while not hit:
                pids = await self._persist(lambda: self.database.fetch(CONNECTIONS))
                if pids:
                    pid = chance.choice(pids)["pid"]
                    hit = await self._persist(partial(self.database.fetchval, "select pg_terminate_backend($1)", pid))
                await asyncio.sleep(0.05)
            self.cut += 1
            self._goes_on()

    async def _moments(self, fault: str, count: int) -> AsyncIterator[None]:
        """Random places among the kills; without kills one after the other."""
        chance = random.Random(f"{self.seed}:{fault}")
        for place in sorted(chance.uniform(0, self.dose.kills) for _ in range(count)):
            while self.killed.total() < place:  # noqa: ASYNC110 - paced by other faults
                await asyncio.sleep(0.05)
            yield

    # --- zombies ----------------------------------------------------------------------------------------------------

    async def _wake_sleepers(self) -> None:
        """Let an executor that stopped itself sleep until its run ended elsewhere, continue it, and hear its answer."""
        while self.zombies < self.dose.zombies:
            if self._sleeps():
                stalls, wakings = self._stalls(), len(self._wakings())
                await self._others_ended(stalls[-1]["run"])
                self._slept = len(stalls)
                self.house.thaw(SLEEPER)
                self.zombies += await self._answered(wakings)
                self._goes_on()
            await asyncio.sleep(0.02)
        self.house.kill(SLEEPER)

    def _sleeps(self) -> bool:
        """Stopped, and everything that it said before has been written down."""
        process = self.house.processes[SLEEPER]
        if process.poll() is not None:
            self.fallen[SLEEPER] += 1
            self._start(SLEEPER)
            return False
        stopped = psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
        return stopped and len(self._stalls()) > self._slept

    async def _others_ended(self, run: str) -> None:
        """Its publish is stale once the run was published by somebody else."""
        while not await self._persist(lambda: self.database.fetchval(ENDED, run)):  # noqa: ASYNC110 - others end it
            await asyncio.sleep(0.05)

    def _stalls(self) -> list[dict[str, Any]]:
        return [fact for fact in self.recorder.heard() if fact["what"] == "stalls"]

    def _wakings(self) -> list[dict[str, Any]]:
        """What came of each stall."""
        return [fact for fact in self.recorder.heard() if fact["what"] in {"published", "refused"} and fact["stalled"]]

    async def _answered(self, before: int) -> bool:
        """False when it ended without an answer."""
        process = self.house.processes[SLEEPER]
        while len(self._wakings()) == before and process.poll() is None:  # noqa: ASYNC110 - another process says it
            await asyncio.sleep(0.02)
        return len(self._wakings()) > before

    # --- the database, which comes and goes -------------------------------------------------------------------------

    async def _persist(self, call: Callable[[], Awaitable[Value]]) -> Value:
        while True:
            try:
                return await call()
            except ControlPlaneUnavailable:
                await asyncio.sleep(0.1)
