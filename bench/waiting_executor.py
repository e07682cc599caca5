"""The real executor service with a handler that waits for ever: its runs end by its death or by a cancel.

Started by bench.takeover as a process of its own.
"""

from __future__ import annotations

import sys

import anyio

from lakehouse_executor.app import NAME, probes
from lakehouse_executor.app import main as executor
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.registry import Registry
from lakehouse_executor.settings import ExecutorSettings
from opscore.domain.phase import Phase
from opscore.runtime.service import Service
from opscore.runtime.supervise import start


async def wait(_: PhaseContext) -> PhaseResult:
    """Work that takes as long as it is let."""
    await anyio.sleep_forever()
    raise AssertionError


async def main(service: Service, settings: ExecutorSettings) -> None:
    """Work as an executor does."""
    await executor(service, settings, Registry({Phase.QUERY: wait}))


if __name__ == "__main__":
    sys.exit(start(NAME, ExecutorSettings, main, probes, check=False))
