"""The ordered parts of a run. Each has one handler in the executor's registry."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """A named, ordered part of a run."""

    INGEST = "ingest"  # source -> staged bronze
    VALIDATE = "validate"  # checks on what is staged; a gate may block
    TRANSFORM = "transform"  # lake -> staged silver or gold
    PUBLISH = "publish"  # the only step readers notice
    QUERY = "query"  # one statement, its result an artifact
