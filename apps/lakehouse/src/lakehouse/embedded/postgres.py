"""A Postgres of our own: made, started, adopted, stopped and brought back on the same data.

Called by the bring-up, the supervisor and the test fixtures. It listens on 127.0.0.1 only and has no Unix socket
(their paths may not exceed 107 bytes, and a home's path may). It outlives its starter: the next one adopts it.
Everything here but the constructor may block for a moment in a thread; nothing blocks the event loop.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import anyio
import anyio.to_thread

from lakehouse.embedded import account, binaries, cluster, ports
from lakehouse.embedded.credentials import Credentials
from lakehouse.embedded.files import log_path, open_log, read_json, tail, write_json
from lakehouse.embedded.postmaster import Postmaster, forget_stale, stop_server
from lakehouse.embedded.process import Identity
from opscore.db import admin
from opscore.domain.errors import Conflict, ControlPlaneUnavailable

PASSWORD = "postgres"  # noqa: S105 - the secret's name
LONGEST_RECOVERY_SECONDS = 300.0
LOOK_SECONDS = 0.02
PORT_TAKEN = ("Address already in use", "could not create any TCP/IP sockets")
PREDECESSOR_ENDS = ("pre-existing shared memory block", "lock file")

# For a machine with two cores and a few GiB. Loss of power loses nothing: fsync stays on.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": ports.LOOPBACK,
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "128MB",
        "work_mem": "8MB",
        "maintenance_work_mem": "64MB",
        "wal_level": "logical",
        "max_replication_slots": "10",
        "max_wal_senders": "10",
        "max_wal_size": "1GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "logging_collector": "off",
    }
)
# A killed server loses nothing with these either: what it wrote is with the operating system.
FORGETFUL: Mapping[str, str] = MappingProxyType({"fsync": "off", "full_page_writes": "off"})


@dataclass(frozen=True)
class Installed:
    """What start settled: who runs which binaries on which data."""

    account: account.Account
    binaries: binaries.Binaries
    place: cluster.Place


class EmbeddedPostgres:
    """One Postgres server for one home."""

    def __init__(self, home: Path, *, bindir: str | None = None, durable: bool = True) -> None:
        """bindir: the text of LAKEHOUSE_PG_BINDIR. durable=False, for tests: loss of power may lose data."""
        self._home = home.absolute()
        self._bindir = bindir
        self._durable = durable
        self._credentials = Credentials(self._home)
        self._state = self._home / "postgres.json"
        self._installed: Installed | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._server: Identity | None = None
        self._port = 0

    @property
    def version(self) -> str:
        """`15.18`; known after start."""
        return self._settled.binaries.version

    @property
    def binaries(self) -> binaries.Binaries:
        """The programs (pg_restore, psql, …) beside the server; known after start."""
        return self._settled.binaries

    @property
    def data(self) -> Path:
        """The data folder; known after start."""
        return self._settled.place.data

    @property
    def port(self) -> int:
        """Where it listens; known after start."""
        return self._port

    @property
    def identity(self) -> Identity | None:
        """The postmaster, while there is one."""
        return self._server if self.is_running() else None

    def is_running(self) -> bool:
        """True while the postmaster lives."""
        if self._child is not None:
            self._child.poll()  # reaps it when it is dead
        return self._server is not None and self._server.alive()

    def dsn(self, database: str = "postgres", *, user: str = cluster.SUPERUSER, password: str | None = None) -> str:
        """Connection string; without user and password it is the superuser's."""
        secret = password if password is not None else self._credentials.ensure(PASSWORD)
        where = f"{ports.LOOPBACK}:{self._port}/{quote(database, safe='')}"
        return f"postgresql://{quote(user, safe='')}:{quote(secret, safe='')}@{where}"

    async def start(self) -> None:
        """Return once a session answered. Makes the data the first time and adopts a server that runs already.

        Raises InvalidSetting (LAKEHOUSE_PG_BINDIR), Conflict (data of another version, lost password),
        NotAllowed (folders out of the account's reach) and ControlPlaneUnavailable (it does not start, and why).
        """
        self._installed = self._installed or await anyio.to_thread.run_sync(self._install)
        if not await self._adopt():
            await self._launch()
            await admin.wait_until_ready(self.dsn())
        write_json(self._state, {"data": str(self.data), "port": self._port, "version": self.version})

    async def restart(self) -> None:
        """Start again where it was: whoever knows the port goes on. ControlPlaneUnavailable while the port is taken."""
        if not ports.is_free(self._port) and not self.is_running():
            raise ControlPlaneUnavailable(reason=f"port {self._port}, where it was, is taken by another program")
        await self.start()

    async def stop(self, patience: float = 30.0) -> None:
        """End sessions and shut down; everything committed stays. After patience (seconds) it is cut off, safely."""
        if self._server is not None:
            await anyio.to_thread.run_sync(self._stop, self._server, patience)
        self._server = self._child = None

    @property
    def _settled(self) -> Installed:
        if self._installed is None:
            raise RuntimeError("start() settles this")
        return self._installed

    def _install(self) -> Installed:
        self._home.mkdir(parents=True, exist_ok=True)
        runner = account.choose()
        place = self._usable(cluster.choose(self._home, runner), runner)
        chosen = cluster.within_reach(binaries.choose(self._bindir, place.data_major), runner)
        if place.data_major is None:
            cluster.make(place, chosen, runner, self._credentials.ensure(PASSWORD), durable=self._durable)
        return Installed(runner, chosen, place)

    def _usable(self, place: cluster.Place, runner: account.Account) -> cluster.Place:
        """The place, unless its data are there and their password is not."""
        if place.data_major is None or self._credentials.get(PASSWORD):
            return place
        if place.root.parent == self._home:
            raise Conflict(
                f"{place.data} holds a database, but the password to it is gone: {self._home}/secrets.json is missing.",
                hint="Put secrets.json back, or move the folder away to start empty.",
            )
        _end_any_server(place.data)  # the home was removed and made anew: its old data are not this home's
        cluster.set_aside(place)
        return cluster.choose(self._home, runner)

    async def _adopt(self) -> bool:
        """True when a server was there already and answers; False when there is none, or it was about to die."""
        postmaster = Postmaster.read(self.data)
        if postmaster is None or not postmaster.serves(self.data):
            return False
        self._port, self._server = postmaster.port, Identity.of(postmaster.pid)
        with anyio.move_on_after(LONGEST_RECOVERY_SECONDS):
            while self.is_running():
                try:
                    await admin.server_version(self.dsn())
                except ControlPlaneUnavailable:
                    await anyio.sleep(LOOK_SECONDS)
                else:
                    return True
        if self.is_running():
            raise self._did_not_start(f"process {postmaster.pid} holds it and does not answer on port {self._port}")
        return False

    async def _launch(self) -> None:
        """Start the server; a port that was taken meanwhile is chosen anew, a dying predecessor is waited for."""
        if self._child is not None:
            await anyio.to_thread.run_sync(_stop_child, self._child, LOOK_SECONDS)
        self._port = ports.prefer(self._port or read_json(self._state).get("port"))
        with anyio.move_on_after(LONGEST_RECOVERY_SECONDS):
            while True:
                forget_stale(self.data)
                fault = await self._try_launch()
                if fault is None:
                    return
                if any(sign in fault for sign in PORT_TAKEN):
                    self._port = ports.any_free()
                elif not any(sign in fault for sign in PREDECESSOR_ENDS):
                    raise self._did_not_start(fault)
                await anyio.sleep(LOOK_SECONDS)
        raise self._did_not_start(f"it was not ready after {LONGEST_RECOVERY_SECONDS:.0f} s")

    async def _try_launch(self) -> str | None:
        """None once it serves; else the last lines of its log."""
        log = log_path(self._home, "postgres")
        with open_log(self._home, "postgres") as output:
            written = output.tell()
            child = subprocess.Popen(  # noqa: S603, ASYNC220 - our own argv; a fork takes a millisecond
                [self.binaries.tool("postgres"), "-D", str(self.data), *self._options()],
                cwd=self._settled.place.root,
                env=cluster.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._settled.account.as_child,
            )
        self._child, self._server = child, Identity.of(child.pid)
        while child.poll() is None:
            postmaster = Postmaster.read(self.data)
            if postmaster and postmaster.pid == child.pid and postmaster.ready:
                return None
            await anyio.sleep(LOOK_SECONDS)
        return " / ".join(tail(log, since=written)) or f"it ended at once with exit code {child.returncode}"

    def _options(self) -> list[str]:
        chosen = {**SETTINGS, **({} if self._durable else FORGETFUL), "port": str(self._port)}
        return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]

    def _did_not_start(self, fault: str) -> ControlPlaneUnavailable:
        return ControlPlaneUnavailable(
            reason=f"Postgres {self.version} did not start on {self.data}: {fault}",
            hint=f"{log_path(self._home, 'postgres')} holds the whole story.",
        )

    def _stop(self, server: Identity, patience: float) -> None:
        if self._child is not None:
            _stop_child(self._child, patience)
        else:
            stop_server(server, patience)


def _end_any_server(data: Path) -> None:
    postmaster = Postmaster.read(data)
    server = Identity.of(postmaster.pid) if postmaster and postmaster.serves(data) else None
    if server:
        stop_server(server, patience=30)


def _stop_child(child: subprocess.Popen[bytes], patience: float) -> None:
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, 10), (signal.SIGKILL, None)):
        child.send_signal(number)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return
