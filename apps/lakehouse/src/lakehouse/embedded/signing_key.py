"""The stack's own key for the event log's seals. Made by the bring-up, read by `event verify`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from opscore.signing import SETTING, make_key


def key_path(home: Path) -> Path:
    """Where it lies: PEM, mode 0600."""
    return home / "event_key.pem"


def key_setting(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The dispatcher's setting: the key that the environment names, else the home's own, made if it is not there."""
    if environ.get(SETTING):
        return {}
    make_key(key_path(home))
    return {SETTING: f"file:{key_path(home).absolute()}"}
