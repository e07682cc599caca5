"""Ceilings on what runs may use, and why a run waits under one."""

from __future__ import annotations

from enum import StrEnum


class CapKind(StrEnum):
    """What is counted."""

    CONCURRENCY = "concurrency"  # runs under lease at one moment
    RUNS = "runs"  # runs started within the window


class CapScope(StrEnum):
    """Where it is counted."""

    ENVIRONMENT = "environment"
    PIPELINE = "pipeline"
