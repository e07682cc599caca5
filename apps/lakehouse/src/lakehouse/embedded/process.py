"""Processes that outlive their parent, known again by pid and start time, and stopped politely.

Called by the supervisor and the Postgres launcher. A pid alone is not an identity: after a reboot or a long night it
belongs to somebody else. Nothing is ever looked for by name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import psutil

# psutil adds the boot time to a process's ticks, and the boot time moves when the clock is corrected.
CLOCK_SLACK_SECONDS = 2.0


@dataclass(frozen=True)
class Identity:
    """pid and start time (seconds since the epoch) of one process."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now; None when there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def alive(self) -> bool:
        """True while this very process runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < CLOCK_SLACK_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal unless the process is gone."""
        if self.alive():
            _quietly(os.kill, self.pid, number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the process group that this process leads."""
        if self.alive():
            _quietly(os.killpg, self.pid, number)


def wait_gone(processes: list[Identity], patience: float) -> list[Identity]:
    """Block until all are gone or patience (seconds) is over; returns who is left."""
    give_up = time.monotonic() + patience
    left = [process for process in processes if process.alive()]
    while left and time.monotonic() < give_up:
        time.sleep(0.02)
        left = [process for process in left if process.alive()]
    return left


def stop_group_leaders(leaders: list[Identity], patience: float) -> None:
    """Ask the processes to end, wait, then end them and everything in their process groups."""
    for leader in leaders:
        leader.signal(signal.SIGTERM)
        leader.signal(signal.SIGCONT)  # a stopped process hears nothing until it goes on
    for leader in wait_gone(leaders, patience):
        leader.signal_group(signal.SIGKILL)
    wait_gone(leaders, patience=5)


def arguments(pid: int) -> list[str]:
    """A process's argument vector; empty when it is gone or not ours to look at."""
    try:
        return psutil.Process(pid).cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return []


def _quietly(send: Callable[[int, int], None], pid: int, number: signal.Signals) -> None:
    try:
        send(pid, number)
    except (ProcessLookupError, PermissionError):
        return
