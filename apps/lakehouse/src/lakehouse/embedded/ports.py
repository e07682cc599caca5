"""Free ports on the loopback interface. Called by the Postgres launcher and the bring-up."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """True when a server could listen on 127.0.0.1:port now (a port that is only cooling down is free)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def any_free() -> int:
    """A port that nobody listens on; somebody may take it before we do, so callers try again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def prefer(port: int | None) -> int:
    """The port when it is free, else any free one."""
    return port if port and is_free(port) else any_free()
