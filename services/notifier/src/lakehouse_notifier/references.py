"""Secrets by reference: `env:NAME` and `file:/path`. Called by the channels at the moment of sending.

The routing matrix holds where a secret is, never the secret, so that it may be read, exported and shown.
"""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from opscore.domain.errors import DeliveryRefused

LONGEST_SECRET = 16 * 1024


async def plain_or_referenced(value: object, what: str) -> str:
    """The value itself, or what it refers to. Raises DeliveryRefused naming `what` when there is nothing."""
    if not isinstance(value, str) or not value:
        raise DeliveryRefused(target="the route", reason=f"its {what} is missing")
    return await referenced(value, what) if value.startswith(("env:", "file:")) else value


async def referenced(value: object, what: str) -> str:
    """What `env:NAME` or `file:/path` holds, stripped. Raises DeliveryRefused, never with contents."""
    kind, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    match kind:
        case "env":
            found = os.environ.get(name, "")
        case "file":
            found = await anyio.to_thread.run_sync(_read, Path(name))
        case _:
            raise DeliveryRefused(target="the route", reason=f"its {what} must be a reference, env:NAME or file:/path")
    if not found.strip():
        raise DeliveryRefused(target="the route", reason=f"its {what} refers to {value}, which holds nothing here")
    return found.strip()


def _read(path: Path) -> str:
    """The file's text, empty when it cannot be read; a device or a pipe is not read at all."""
    try:
        return path.read_text()[:LONGEST_SECRET] if path.is_absolute() and path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""
