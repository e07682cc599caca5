"""What a data folder says about the server on it. Called by the Postgres launcher and by `down`."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from lakehouse.embedded.process import Identity, arguments, wait_gone


@dataclass(frozen=True)
class Postmaster:
    """What `postmaster.pid` says; the file may be half-written, stale, or another server's after a reboot."""

    pid: int
    port: int
    ready: bool

    @classmethod
    def read(cls, data: Path) -> Postmaster | None:
        """None when there is no file, or not enough in it yet."""
        try:
            lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return cls(int(lines[0]), int(lines[3]), len(lines) > 7 and lines[7].strip() == "ready")
        except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
            return None

    def serves(self, data: Path) -> bool:
        """True when the process with this pid is the server of these data: we start it with `-D DATA`."""
        identity = Identity.of(self.pid)
        argv = arguments(self.pid)
        named = argv[argv.index("-D") + 1 :][:1] if "-D" in argv else []
        return (
            identity is not None and identity.alive() and [Path(name).resolve() for name in named] == [data.resolve()]
        )


def forget_stale(data: Path) -> None:
    """Remove a lock file whose pid belongs to somebody else by now: Postgres would wait for that process forever.

    Safe: sessions of a crashed server that still live keep its shared memory, and Postgres looks at that by itself.
    """
    postmaster = Postmaster.read(data)
    if postmaster and Identity.of(postmaster.pid) and not postmaster.serves(data):
        (data / "postmaster.pid").unlink(missing_ok=True)


def stop_server(server: Identity, patience: float) -> None:
    """End a server that is not our child: fast, after patience (seconds) at once, at last by force."""
    for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        server.signal(number)
        if not wait_gone([server], seconds):
            return
