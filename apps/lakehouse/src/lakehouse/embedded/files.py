"""Small files of the stack: written whole or not at all, and logs that do not grow forever.

Called by everything in this room that keeps something below LAKEHOUSE_HOME.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

LOG_LIMIT_BYTES = 10 * 1024 * 1024


def write_json(path: Path, content: Mapping[str, Any], *, mode: int = 0o644) -> None:
    """Replace the file in one step: a reader sees the old text or the new, also after a crash."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty when there is no file or no object in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def log_path(home: Path, name: str) -> Path:
    """Where a service's log lies."""
    return home / "logs" / f"{name}.log"


def open_log(home: Path, name: str) -> IO[bytes]:
    """Open a log for appending; a log beyond 10 MB is set aside first (one generation is kept)."""
    path = log_path(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def tail(path: Path, *, since: int = 0, lines: int = 5) -> list[str]:
    """The last lines written after byte `since`; empty when there are none."""
    try:
        with path.open("rb") as file:
            file.seek(max(since, path.stat().st_size - 16_384))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
