"""Who acts: the name that stands in events and on alerts. Used by commands that change something."""

from __future__ import annotations

import getpass


def whoami() -> str:
    """The operating system's name for the caller."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
