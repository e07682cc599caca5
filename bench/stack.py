"""How long the embedded stack takes to come up on existing data, and what it holds when idle."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.measure import tree_memory_mib
from bench.report import Result, median

COMMAND = "python -m bench stack"
LAKEHOUSE = str(Path(sys.executable).with_name("lakehouse"))


def up_and_down(home: str) -> tuple[float, float]:
    """Seconds until `up --detach` returns healthy, and MiB of the whole stack some seconds later."""
    env = {**os.environ, "LAKEHOUSE_HOME": home, "LAKEHOUSE_PORT": "0"}
    begin = time.perf_counter()
    subprocess.run([LAKEHOUSE, "up", "--detach"], env=env, check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    time.sleep(5)
    status = json.loads(
        subprocess.run([LAKEHOUSE, "status", "-o", "json"], env=env, check=True, capture_output=True).stdout
    )
    supervisor = psutil.Process(status["services"][0]["pid"]).parent()
    memory = sum(tree_memory_mib(psutil.Process(service["pid"])) for service in status["services"])
    if supervisor is not None and supervisor.pid > 1:
        own = supervisor.memory_full_info().pss / 2**20
        memory += own
    subprocess.run([LAKEHOUSE, "down"], env=env, check=True, capture_output=True)
    return seconds, memory


def version_ms() -> float:
    """Milliseconds of `lakehouse --version`, the least that any command costs."""
    begin = time.perf_counter()
    subprocess.run([LAKEHOUSE, "--version"], check=True, capture_output=True)
    return (time.perf_counter() - begin) * 1000


async def measure(_postgres: object, *, full: bool = False) -> list[Result]:
    """One first start (not counted), then three."""
    del full
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-home-") as home:
        Path(home).chmod(0o711)
        await asyncio.to_thread(up_and_down, home)
        seen = [await asyncio.to_thread(up_and_down, home) for _ in range(3)]
    seconds, memory = median(item[0] for item in seen), median(item[1] for item in seen)
    cli = median(version_ms() for _ in range(7))
    return [
        Result("stack_start_s", seconds, "s", "<= 10", seconds <= 10, COMMAND),
        Result("stack_idle_mib", memory, "MiB", "<= 600", memory <= 600, COMMAND),
        Result("cli_version_ms", cli, "ms", "<= 200", cli <= 200, COMMAND),
    ]
