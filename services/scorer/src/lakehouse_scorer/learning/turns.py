"""Once a day per environment, one scorer learns from history, in a process of its own. Started by `app.py`.

The library for it is heavy: a child that ends takes it out of memory again, and nothing it does can hold scores up.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

import anyio

from lakehouse_scorer.learning.propose import FEWEST_RUNS
from lakehouse_scorer.settings import ScorerSettings
from opscore.ports.event_log import Learning
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

LOOK_S = 600.0

Learn = Callable[[UUID], Awaitable[None]]


async def learn_in_turn(control: Learning, service: Service, settings: ScorerSettings) -> None:
    """Ask for turns until a stop is asked for; with propose_every_s = 0, never."""
    every = timedelta(seconds=settings.propose_every_s)
    while every and not service.stopping.draining:
        await persist(
            lambda: learn_once(control, every, in_a_child),
            "learn weights",
            service,
            until=lambda: service.stopping.draining,
        )
        await service.clock.sleep(LOOK_S)


async def learn_once(control: Learning, every: timedelta, learn: Learn) -> Sequence[UUID]:
    """Take the turns that are due and learn in each; the environments."""
    environments = await control.take_learning_turns(every, FEWEST_RUNS)
    for environment in environments:
        await learn(environment)
    return environments


async def in_a_child(environment: UUID) -> None:
    """`lakehouse-scorer --propose ENVIRONMENT`; what it has to say stands in the service's log."""
    command = [sys.executable, "-m", "lakehouse_scorer", "--propose", str(environment)]
    await anyio.run_process(command, check=False, stdin=subprocess.DEVNULL, stdout=None, stderr=None)
