"""Measures a program from outside: wall seconds, CPU seconds of its whole tree, and the tree's peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """wall_s, cpu_s: seconds. peak_mib: largest sum of proportional set sizes over the tree. output: its stdout."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


def tree_memory_mib(process: psutil.Process) -> float:
    """Memory of a process and all below it, shared pages counted once (PSS)."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except psutil.Error:
            continue
    return total / MIB


def run_measured(argv: Sequence[str], env: Mapping[str, str] | None = None, *, timeout_s: float = 900) -> Measured:
    """Run a program to its end. Raises CalledProcessError with its output when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    child = subprocess.Popen(argv, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True)
    peak = _PeakMemory(child.pid)
    try:
        output, _ = child.communicate(timeout=timeout_s)
    finally:
        peak.stop()
        if child.poll() is None:
            child.kill()
            child.wait()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, list(argv), output)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(wall, cpu, peak.mib, output)


class _PeakMemory:
    """Samples a process tree ten times a second in a thread."""

    def __init__(self, pid: int) -> None:
        self.mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, args=(pid,), daemon=True)
        self._thread.start()

    def _sample(self, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            while not self._done.wait(0.1):
                self.mib = max(self.mib, tree_memory_mib(process))
        except psutil.Error:
            return

    def stop(self) -> None:
        self._done.set()
        self._thread.join(timeout=5)
