"""For faults only: an executor that stops itself (SIGSTOP) at the last moment before it publishes.

When it is continued it goes straight on into the publish, past its own lease watch, as a process does that was swapped
out, suspended or paused by a hypervisor between deciding and writing. Only the control plane can refuse it then.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from lakehouse_executor.app import NAME, PHASES, probes
from lakehouse_executor.app import main as executor
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.phases.publish import publish
from lakehouse_executor.registry import Registry
from lakehouse_executor.settings import ExecutorSettings
from opscore.domain.lease import Lease
from opscore.domain.phase import Phase
from opscore.domain.table import StagedTable
from opscore.runtime.service import Service
from opscore.runtime.supervise import start


class Stalling:
    """The control plane, with a long silence before publish."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def publish(
        self, lease: Lease, tables: Sequence[StagedTable], states: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        with anyio.CancelScope(shield=True):
            Path(os.environ["STALL_MARK"]).write_text("about to publish")
            os.kill(os.getpid(), signal.SIGSTOP)
            try:
                answer = await self._inner.publish(lease, tables, states)
            except Exception as error:
                Path(os.environ["STALL_ANSWER"]).write_text(type(error).__name__)
                raise
            Path(os.environ["STALL_ANSWER"]).write_text(str(answer))
            return answer


async def stall_then_publish(context: PhaseContext) -> PhaseResult:
    return await publish(dataclasses.replace(context, control=Stalling(context.control)))


async def main(service: Service, settings: ExecutorSettings) -> None:
    await executor(service, settings, Registry({**PHASES.handlers, Phase.PUBLISH: stall_then_publish}))


if __name__ == "__main__":
    sys.exit(start(NAME, ExecutorSettings, main, probes, check=False))
