"""Which operating system account runs Postgres, and what that account can reach.

Called by the Postgres launcher. Postgres refuses to run as root, so root lends the work to an account that is there
already; nobody else needs this. Reach is asked of the kernel, as that account, because mode bits do not know of
access lists and mounts.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from opscore.domain.errors import NotAllowed

CANDIDATES = ("postgres", "nobody")


class ChildAccount(TypedDict, total=False):
    """Keyword arguments of `subprocess.Popen`."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """uid and gid that a child process takes on; None: the child stays who we are."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @property
    def as_child(self) -> ChildAccount:
        """Arguments for `subprocess` that make the child run under this account."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def can(self, what: str, path: Path) -> bool:
        """what: one letter of test(1): x (run or enter), r (read), w (write)."""
        if self.uid is None:
            return os.access(path, {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}[what])
        test = shutil.which("test") or "/usr/bin/test"
        asked = subprocess.run([test, f"-{what}", str(path)], cwd="/", check=False, **self.as_child)  # noqa: S603 - fixed argv
        return asked.returncode == 0


def choose() -> Account:
    """The account for Postgres: ourselves, or for root an unprivileged account that exists."""
    if os.geteuid() != 0:
        return Account(name=pwd.getpwuid(os.geteuid()).pw_name if _is_listed(os.geteuid()) else str(os.geteuid()))
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise NotAllowed(
        f"Postgres does not run as root, and none of the accounts {' and '.join(CANDIDATES)} exists on this machine.",
        hint="Start the stack as an ordinary user, create an account named postgres, or set LAKEHOUSE_DATABASE_URL.",
    )


def _is_listed(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
