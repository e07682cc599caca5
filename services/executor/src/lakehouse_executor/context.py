"""What a phase handler may use. Built by `run.py` for each run; handlers know ports only, never adapters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from opscore.domain.run import WorkOrder
from opscore.ports.artifacts import Artifacts
from opscore.ports.clock import Clock
from opscore.ports.control_plane import ControlPlane
from opscore.ports.lake import Lake

PhaseResult = dict[str, Any]


@dataclass(slots=True)  # not frozen: one per run, and freezing doubles what so many fields cost
class PhaseContext:
    """One run's surroundings. Nobody assigns to it.

    spec: the pinned bundle's pipeline spec. files: the bundle's files by path. results: checkpoints of earlier phases,
    by phase name. lake_options: picklable, from which a worker process rebuilds its own lake. workers: how many worker
    processes may be busy at once. progress: called with {"done", "total", "unit", ...}; cheap, buffered until the next
    beat. secret: resolves `env:NAME` and `file:/path`.
    """

    order: WorkOrder
    spec: dict[str, Any]
    files: dict[str, str]
    results: dict[str, PhaseResult]
    control: ControlPlane
    lake: Lake
    artifacts: Artifacts
    lake_options: Any
    workers: anyio.CapacityLimiter
    clock: Clock
    progress: Callable[[dict[str, Any]], None]
    secret: Callable[[str], str]
    notes: dict[str, Any] = field(default_factory=dict[str, Any])
