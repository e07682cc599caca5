"""One service as a process of its own: started, watched, started again.

Called by the supervisor, which runs `keep` in a task for each. Every service leads a process group, so that workers it
leaves behind when it is killed go with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from lakehouse.embedded import health
from lakehouse.embedded.files import log_path, open_log, tail
from lakehouse.embedded.process import Identity
from lakehouse.embedded.status import ServiceStatus, State

STARTING_LOOK_SECONDS = 0.05
RUNNING_LOOK_SECONDS = 0.2
SETTLED_SECONDS = 2.0
LONGEST_DELAY_SECONDS = 5.0
DEATHS_BEFORE_FAILED = 3


@dataclass(frozen=True)
class Program:
    """What to run. environment is complete: nothing else of ours reaches the process."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


def restart_delay(early_deaths: int) -> float:
    """Seconds to wait after so many deaths in a row that came before the service had settled."""
    return min(0.05 * 2**early_deaths, LONGEST_DELAY_SECONDS)


class Service:
    """Keeps one program running. State changes are told to `on_change`, at once."""

    def __init__(self, program: Program, home: Path, on_change: Callable[[], None]) -> None:
        self.name = program.name
        self._program = program
        self._home = home
        self._on_change = on_change
        self._health_file = health_file(home, program.name)
        self._child: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None
        self._state = State.STOPPED
        self._restarts = 0
        self._log_start = 0

    @property
    def status(self) -> ServiceStatus:
        """As it is now."""
        who = self._identity
        return ServiceStatus(
            self.name, self._state, who.pid if who else None, who.started if who else None, self._restarts
        )

    @property
    def identity(self) -> Identity | None:
        """The process, while there is one."""
        return self._identity

    def last_words(self) -> str:
        """What the present or latest process wrote to its log at the end."""
        return " / ".join(tail(log_path(self._home, self.name), since=self._log_start))

    async def keep(self) -> None:
        """Start it, wait for its death, start it again; ends by being canceled only."""
        early_deaths = 0
        while True:
            self._spawn()
            settled = await self._live()
            self._bury()
            early_deaths = 0 if settled else early_deaths + 1
            self._restarts += 1
            self._become(State.FAILED if early_deaths >= DEATHS_BEFORE_FAILED else State.STARTING)
            await anyio.sleep(restart_delay(early_deaths))

    def mark_stopped(self) -> None:
        """The supervisor has ended the process: reap it."""
        if self._child is not None:
            self._bury()
        self._become(State.STOPPED)

    def _spawn(self) -> None:
        self._health_file.parent.mkdir(parents=True, exist_ok=True)
        self._health_file.unlink(missing_ok=True)
        with open_log(self._home, self.name) as output:
            self._log_start = output.tell()
            self._child = subprocess.Popen(  # noqa: S603 - our own console scripts
                self._program.argv,
                env={**self._program.environment, "LAKEHOUSE_HEALTH_FILE": str(self._health_file)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._identity = Identity.of(self._child.pid)
        self._become(State.STARTING if self._state is not State.FAILED else State.FAILED)

    async def _live(self) -> bool:
        """Return when the process is dead: True when it had been ready for a while before."""
        ready_at: float | None = None
        while self._identity is not None and self._identity.alive():
            if ready_at is None and await health.is_ready(self._health_file):
                ready_at = time.monotonic()
                self._become(State.RUNNING)
            await anyio.sleep(STARTING_LOOK_SECONDS if ready_at is None else RUNNING_LOOK_SECONDS)
        return ready_at is not None and time.monotonic() - ready_at >= SETTLED_SECONDS

    def _bury(self) -> None:
        """End what the process left in its group, then reap it; in this order its pid cannot be anybody else's."""
        if self._child is None:
            return
        if self._child.returncode is None:
            _kill_group(self._child.pid)
        self._child.wait()
        self._child = self._identity = None

    def _become(self, state: State) -> None:
        self._state = state
        self._on_change()


def health_file(home: Path, name: str) -> Path:
    """Where a service writes the port it answers health questions on."""
    return home / "run" / f"{name}.health"


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
