"""Everything that can go wrong, at seeded random moments, while work flows: kills, crashes, cut connections, zombies.

Faults are paced by the kills: crashes and cut connections each have their random places among them. Every fault counts
only once it was seen to have hit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import psutil

from opscore.db.pool import Database
from opscore.domain.errors import ControlPlaneUnavailable
from support.house import House
from support.plane import ENVIRONMENT
from support.recorder import Mouth, Recorder

Value = TypeVar("Value")

EXECUTORS = ("executor-0", "executor-1")
SERVICES = ("dispatcher", "scorer", "notifier", *EXECUTORS)
SLEEPER = "sleeper"
PIPELINE = "storm"
BACKLOG = 60  # runs that are offered before the first fault, and ahead of the faults from then on
BATCH = 50

SHORT_LIFE = 2.0  # seconds

CONNECTIONS = """
    select pid from pg_stat_activity
     where datname = current_database() and application_name like 'lakehouse-%' order by backend_start, pid
"""
OPEN = "select exists (select from ops.open_runs)"
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

    async def blow(self) -> None:
        """Until the whole dose has hit and every run has ended."""
        for service in (*SERVICES, SLEEPER):
            self._start(service)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._offer())
            group.create_task(self._crash())
            group.create_task(self._cut())
            group.create_task(self._wake_sleepers())
            for service in SERVICES:
                group.create_task(self._kill(service))
        await self._everything_ends()

    # --- work -------------------------------------------------------------------------------------------------------

    async def _offer(self) -> None:
        while self.offered < self.dose.runs:
            share = min(self._faults() / max(self._all_faults(), 1), 1.0)
            if self.offered <= self.dose.runs * share + BACKLOG or await self._idle():
                await self._enqueue(min(BATCH, self.dose.runs - self.offered))
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

    async def _idle(self) -> bool:
        return await self._persist(lambda: self.database.fetchval("select count(*) < 20 from ops.open_runs"))

    async def _everything_ends(self) -> None:
        async with asyncio.timeout(300):
            while await self._persist(lambda: self.database.fetchval(OPEN)):  # noqa: ASYNC110 - others end them
                await asyncio.sleep(0.2)

    def _faults(self) -> int:
        return self.killed.total() + self.crashed + self.cut + self.zombies

    def _all_faults(self) -> int:
        return self.dose.kills + self.dose.crashes + self.dose.terminations + self.dose.zombies

    # --- kill -9 ----------------------------------------------------------------------------------------------------

    async def _kill(self, service: str) -> None:
        """A service lives for a random while, now and then not even long enough to come up, and is started again.

        The longest life of an executor doubles while nothing ends in between, as a slow machine needs longer.
        """
        chance = random.Random(f"{self.seed}:{service}")
        longest, ended = SHORT_LIFE, 0
        while not self._enough_killed():
            if chance.random() < 0.7:
                await self._ready(service)
            await asyncio.sleep(chance.uniform(0.0, longest))
            if self._enough_killed():
                return
            self._kill_now(service)
            self._start(service)
            self.recorder.heard()
            fruitless = service in EXECUTORS and self.recorder.counts["ended"] == ended
            longest = min(longest * 2, 60.0) if fruitless else SHORT_LIFE
            ended = self.recorder.counts["ended"]

    def _enough_killed(self) -> bool:
        return self.killed.total() >= self.dose.kills

    def _kill_now(self, service: str) -> None:
        process = self.house.processes[service]
        self.fallen[service] += process.poll() is not None
        self.house.kill(service)
        self.killed[service] += process.returncode == -signal.SIGKILL

    def _start(self, name: str) -> None:
        health = self.house.folder / f"{name}.health"
        health.unlink(missing_ok=True)
        extra = {"LAKEHOUSE_HEALTH_FILE": str(health)}
        if name in EXECUTORS or name == SLEEPER:
            extra |= {"STORM_RECORDER": self.recorder.address, "LAKEHOUSE_EXECUTOR_SLOTS": "10"}
            if name == SLEEPER:
                extra |= {"STORM_STALL_EVERY": "4", "LAKEHOUSE_EXECUTOR_NAME": SLEEPER, "LAKEHOUSE_EXECUTOR_SLOTS": "3"}
            self.house.start("executor", name=name, module="support.storm_executor", **extra)
        else:
            self.house.start(name, **extra)

    async def _ready(self, name: str) -> None:
        while not (self.house.folder / f"{name}.health").exists():  # noqa: ASYNC110 - another process writes it
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

    async def _moments(self, fault: str, count: int) -> AsyncIterator[None]:
        """Random places among the kills; without kills one after the other."""
        chance = random.Random(f"{self.seed}:{fault}")
        for place in sorted(chance.uniform(0, self.dose.kills) for _ in range(count)):
            while self.killed.total() < place:  # noqa: ASYNC110 - paced by other faults
                await asyncio.sleep(0.05)
            yield

    # --- zombies ----------------------------------------------------------------------------------------------------

    async def _wake_sleepers(self) -> None:
        """Let an executor that stopped itself sleep until its runs ended elsewhere, continue it, and hear its answer."""
        while self.zombies < self.dose.zombies:
            if self._sleeps():
                await self._others_took_its_runs()
                answers = self._answers()
                self.house.thaw(SLEEPER)
                self.zombies += await self._answered(answers)
            await asyncio.sleep(0.02)
        self.house.kill(SLEEPER)

    def _sleeps(self) -> bool:
        process = self.house.processes[SLEEPER]
        if process.poll() is not None:
            self._start(SLEEPER)
            return False
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED

    async def _others_took_its_runs(self) -> None:
        """Its publish is stale once the run was published by somebody else."""
        stalls = [fact for fact in self.recorder.heard() if fact["what"] == "stalls"]
        run = stalls[-1]["run"]
        while not await self._persist(lambda: self.database.fetchval(ENDED, run)):  # noqa: ASYNC110 - others end it
            await asyncio.sleep(0.05)

    def _answers(self) -> int:
        return sum(fact["what"] in {"published", "refused"} and fact["stalled"] for fact in self.recorder.heard())

    async def _answered(self, before: int) -> bool:
        """False when it got none: its connection was cut, or Postgres was down just then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while self._answers() == before:  # noqa: ASYNC110 - another process says it
                    await asyncio.sleep(0.02)
        return self._answers() > before

    # --- the database, which comes and goes -------------------------------------------------------------------------

    async def _persist(self, call: Callable[[], Awaitable[Value]]) -> Value:
        while True:
            try:
                return await call()
            except ControlPlaneUnavailable:
                await asyncio.sleep(0.1)
