"""One supervisor per home. Called by the bring-up; the kernel drops the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from opscore.domain.errors import Conflict


@contextmanager
def only_supervisor(home: Path) -> Generator[None, None, None]:
    """Hold the home's lock; Conflict when somebody else holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "stack.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"A stack runs on {home} already.",
                hint="`lakehouse status` shows it, `lakehouse down` stops it; another LAKEHOUSE_HOME runs beside it.",
            ) from None
        yield


def is_held(home: Path) -> bool:
    """True while a supervisor runs on this home."""
    if not home.is_dir():
        return False
    try:
        with only_supervisor(home):
            return False
    except Conflict:
        return True
