"""Ready-made values for tests: a service, runs, bundles, staged tables. Every field can be overridden."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from opscore.domain.bundle import Bundle, bundled
from opscore.domain.phase import Phase
from opscore.domain.table import StagedTable
from opscore.runtime.health import Health
from opscore.runtime.service import Service
from opscore.runtime.stopping import Stopping
from opscore.testing.clock import ManualClock
from opscore.testing.memory import MemoryControlPlane
from opscore.testing.memory_run import RunRow
from opscore.testing.observer import RecordingObserver

ENVIRONMENT = UUID("00000000-0000-4000-8000-000000000003")


@dataclass(frozen=True, slots=True)
class TestService:
    """A service with the parts that tests hold."""

    __test__ = False

    service: Service
    observer: RecordingObserver
    clock: ManualClock


def make_service(name: str = "test") -> TestService:
    """A service on a clock that stands still."""
    observer, clock = RecordingObserver(), ManualClock()
    return TestService(Service(name, "0.0.0", observer, clock, Health(), Stopping()), observer, clock)


def make_bundle(name: str = "sample", **spec: Any) -> Bundle:
    """A bundle whose spec holds just what is given."""
    return bundled({"version": 1, "name": name, **spec}, {})


def add_run(
    control: MemoryControlPlane, *, phases: Sequence[str] = ("query",), due_in: float = 0.0, **columns: Any
) -> RunRow:
    """Enqueue a run of the sample bundle in memory and return its row."""
    bundle = columns.pop("bundle", None) or make_bundle()
    control.bundles[bundle.digest] = bundle
    run = RunRow(
        id=uuid4(),
        environment_id=ENVIRONMENT,
        pipeline=bundle.spec["name"],
        bundle=bundle.digest,
        phases=tuple(Phase(phase) for phase in phases),
        due_at=control.clock.monotonic() + due_in,
        **columns,
    )
    control.add(run)
    return run


def staged_table(name: str, version: int = 1, *, base: str | None = None, rows: int = 1) -> StagedTable:
    """A staged version of a table that has no files."""
    return StagedTable(
        name=name,
        base_location=base,
        metadata_location=f"file:///lake/{name}/{version}.metadata.json",
        snapshot_id=version,
        rows_added=rows,
        rows=rows,
        files=0,
        bytes=0,
        schema_hash=hashlib.sha256(name.encode()).hexdigest(),
    )
