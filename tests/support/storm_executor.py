"""For faults only: the real executor with cheap work, which tells the recorder every answer it gets.

Each run publishes a table of its own, named after it, at an address that says which attempt made it. With
STORM_STALL_EVERY=n the process stops itself (SIGSTOP) just before every n-th publish and goes straight on when it is
continued, past its own lease watch, until it has an answer: what it writes then only the control plane can refuse.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import anyio

import lakehouse_executor.app as executor
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.registry import Registry
from lakehouse_executor.settings import ExecutorSettings
from opscore.db.executor_rpc import PostgresControlPlane
from opscore.domain.errors import ControlPlaneUnavailable, LeaseLost
from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.domain.run import Outcome, WorkOrder
from opscore.domain.table import StagedTable
from opscore.ports.control_plane import Accepted
from opscore.runtime.service import Service
from opscore.runtime.supervise import start
from support.recorder import Mouth

MOUTH = Mouth(os.environ["STORM_RECORDER"])
WHO = os.environ.get("LAKEHOUSE_EXECUTOR_NAME", "")
STALL_EVERY = int(os.environ.get("STORM_STALL_EVERY", "0"))
PUBLISHES = itertools.count(1)
TOLD: set[UUID] = set()


class Telling(PostgresControlPlane):
    """The control plane, with every answer told outside as soon as it is here."""

    async def take_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        return _told(await super().take_work(executor_id, limit))

    async def claim_work(self, executor_id: UUID, limit: int) -> list[WorkOrder]:
        return _told(await super().claim_work(executor_id, limit))

    async def handed_over(self, executor_id: UUID, session: UUID) -> list[WorkOrder]:
        """Runs show up until they end: each is told once."""
        orders = await super().handed_over(executor_id, session)
        _told([order for order in orders if order.lease.token not in TOLD])
        TOLD.update(order.lease.token for order in orders)
        return orders

    async def publish(
        self, lease: Lease, tables: Sequence[StagedTable], states: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        stalled = STALL_EVERY > 0 and next(PUBLISHES) % STALL_EVERY == 0
        facts = {"run": lease.run_id, "attempt": lease.attempt, "stalled": stalled}
        if stalled:
            MOUTH.say("stalls", **facts)
            os.kill(os.getpid(), signal.SIGSTOP)
        while True:
            try:
                answer = await super().publish(lease, tables, states)
            except LeaseLost:
                MOUTH.say("refused", write="publish", **facts)
                raise
            except ControlPlaneUnavailable:
                MOUTH.say("unknown", **facts)
                if not stalled:
                    raise
                await anyio.sleep(0.1)
            else:
                MOUTH.say("published", address=tables[0].metadata_location, **facts)
                return answer

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Accepted]:
        answers = await super().finish(outcomes)
        attempts = {outcome.lease.run_id: outcome.lease.attempt for outcome in outcomes}
        for answer in answers:
            facts = {"run": answer.run_id, "attempt": attempts[answer.run_id], "stalled": False}
            if answer.accepted:
                MOUTH.say("ended", state=answer.state, **facts)
            else:
                MOUTH.say("refused", write="finish", **facts)
        return answers


def _told(orders: list[WorkOrder]) -> list[WorkOrder]:
    for order in orders:
        MOUTH.say("started", run=order.lease.run_id, attempt=order.lease.attempt, who=WHO)
    return orders


async def nothing(_: PhaseContext) -> PhaseResult:
    return {}


async def publish(context: PhaseContext) -> PhaseResult:
    lease = context.order.lease
    table = StagedTable(
        f"gold.run_{lease.run_id.hex}", None, f"storm://{lease.run_id}/{lease.attempt}", lease.attempt, 1, 1, 1, 1, "s"
    )
    with anyio.CancelScope(shield=STALL_EVERY > 0):
        await context.control.publish(lease, [table], {})
    return {"published": 1}


async def main(service: Service, settings: ExecutorSettings) -> None:
    await executor.main(service, settings, Registry({Phase.TRANSFORM: nothing, Phase.PUBLISH: publish}))


if __name__ == "__main__":
    executor.PostgresControlPlane = Telling  # pyright: ignore[reportPrivateImportUsage]
    sys.exit(start(executor.NAME, ExecutorSettings, main, executor.probes, check=False))
