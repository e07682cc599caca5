"""The real executor with a query phase that does what the run's parameters say.

{"sleep": seconds}: waits in-process. {"begun": path}: leaves a file first. {"worker": seconds, "pid_file": path}: waits
in a worker process that leaves its pid. {"die": true}: its worker process dies. {"stubborn": path}: its worker process
does not listen, has a child, and leaves both pids. {}: nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio

from lakehouse_executor.app import main as executor
from lakehouse_executor.context import PhaseContext, PhaseResult
from lakehouse_executor.registry import Registry
from lakehouse_executor.settings import ExecutorSettings
from lakehouse_executor.workforce import in_worker
from opscore.domain.phase import Phase
from opscore.runtime.service import Service
from opscore.runtime.supervise import start


def wait_in_worker(seconds: float, pid_file: str) -> None:
    draft = Path(f"{pid_file}.draft")
    draft.write_text(str(os.getpid()))
    draft.rename(pid_file)
    time.sleep(seconds)


def ignore_stops(pid_file: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    draft = Path(f"{pid_file}.draft")
    draft.write_text(f"{os.getpid()} {child.pid}")
    draft.rename(pid_file)
    time.sleep(600)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def odd(context: PhaseContext) -> PhaseResult:
    params = context.order.params
    context.progress({"done": 0, "total": 1, "unit": "steps"})
    if "begun" in params:
        await anyio.Path(params["begun"]).write_text("begun")
    if "sleep" in params:
        await anyio.sleep(params["sleep"])
    if "worker" in params:
        await in_worker(context.workers, "odd work", wait_in_worker, params["worker"], params["pid_file"])
    if "stubborn" in params:
        await in_worker(context.workers, "odd work", ignore_stops, params["stubborn"])
    if "die" in params:
        await in_worker(context.workers, "odd work", die)
    return {"done": 1}


async def main(service: Service, settings: ExecutorSettings) -> None:
    await executor(service, settings, Registry({Phase.QUERY: odd}))


if __name__ == "__main__":
    sys.exit(start("executor", ExecutorSettings, main, lambda _: []))
