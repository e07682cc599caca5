"""Secret references in specs, resolved at the moment of use: `env:NAME` and `file:/path`. Called by phase handlers."""

from __future__ import annotations

import os
from pathlib import Path

from opscore.domain.errors import InvalidSetting


def resolve_secret(reference: str) -> str:
    """The secret's text. Raises InvalidSetting, which names the reference and never the value."""
    kind, _, place = reference.partition(":")
    if kind == "env" and place:
        return _from_environment(place)
    if kind == "file" and place:
        return _from_file(place)
    raise InvalidSetting(
        name=f"Secret reference {reference.split(':', maxsplit=1)[0]}:…", fault=_UNKNOWN, example=_EXAMPLE
    )


_UNKNOWN = "it names neither a variable nor a file"
_EXAMPLE = "env:ODOO_DATABASE_URL or file:/run/secrets/odoo"


def _from_environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise InvalidSetting(name=name, fault="it is not set where the executor runs", example=_EXAMPLE)
    return value


def _from_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InvalidSetting(name=path, fault=f"it cannot be read ({reason})", example=_EXAMPLE) from error
