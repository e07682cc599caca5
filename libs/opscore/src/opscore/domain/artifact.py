"""Bytes a run left behind, by address and digest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Artifact:
    """name: unique within the run. kind: manifest, result, preview, checks, log. bytes: size in bytes."""

    name: str
    kind: str
    uri: str
    sha256: str
    bytes: int
    media_type: str
