"""What a running service's parts share. Built by the supervisor, handed to `main` and on to every loop."""

from __future__ import annotations

from dataclasses import dataclass

from opscore.observe.observer import Observer
from opscore.ports.clock import Clock
from opscore.runtime.health import Health
from opscore.runtime.stopping import Stopping


@dataclass(frozen=True, slots=True)
class Service:
    """Eyes, clock, pulse and stop switch of one process."""

    name: str
    version: str
    observer: Observer
    clock: Clock
    health: Health
    stopping: Stopping
