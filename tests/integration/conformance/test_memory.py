"""The control plane in memory does what every control plane must do."""

from __future__ import annotations

import pytest

from opscore.testing.clock import ManualClock
from opscore.testing.conformance import ControlPlaneConformance
from opscore.testing.memory import MemoryControlPlane
from opscore.testing.world import MemoryWorld


@pytest.fixture
def world() -> MemoryWorld:
    """Fresh for each test."""
    clock = ManualClock()
    return MemoryWorld(MemoryControlPlane(clock), clock)


class TestMemory(ControlPlaneConformance):
    """Plain rows and a clock that stands still."""
