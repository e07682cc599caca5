"""The stack's own passwords and keys: random, made once, kept in one file that only its owner reads.

Called by the bring-up. The file is `<home>/secrets.json` (mode 0600). Nothing here is ever printed.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from lakehouse.embedded.files import read_json, write_json


class Credentials:
    """Named secrets of one home."""

    def __init__(self, home: Path) -> None:
        self._path = home / "secrets.json"

    def get(self, name: str) -> str | None:
        """The secret, or None when it was never made."""
        value = read_json(self._path).get(name)
        return value if isinstance(value, str) else None

    def ensure(self, name: str, prefix: str = "") -> str:
        """The secret, made (prefix + 43 URL-safe characters) and kept if it was not there."""
        known = read_json(self._path)
        if not isinstance(known.get(name), str):
            known[name] = prefix + secrets.token_urlsafe(32)
            write_json(self._path, known, mode=0o600)
        return known[name]
