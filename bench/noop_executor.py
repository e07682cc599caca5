"""The real executor service with a handler that does nothing, so that the control plane's own cost is what is measured.

Started by bench.lifecycle as a process of its own; everything but the handler is what production runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lakehouse_executor.app import NAME, probes
from lakehouse_executor.app import main as executor
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.registry import Registry
from lakehouse_executor.settings import ExecutorSettings
from opscore.domain.phase import Phase
from opscore.runtime.service import Service
from opscore.runtime.supervise import start

STAMPS: list[str] = []


async def noop(context: PhaseContext) -> PhaseResult:
    """Return at once; with a stamp file as argument, note when each run's handler started."""
    if len(sys.argv) > 1:
        STAMPS.append(f"{context.order.lease.run_id} {time.time():.6f}\n")
    return {}


async def main(service: Service, settings: ExecutorSettings) -> None:
    """Work as an executor does; write the stamps at the end."""
    await executor(service, settings, Registry({Phase.QUERY: noop}, light=frozenset({Phase.QUERY})))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text("".join(STAMPS))


if __name__ == "__main__":
    sys.exit(start(NAME, ExecutorSettings, main, probes, check=False))
