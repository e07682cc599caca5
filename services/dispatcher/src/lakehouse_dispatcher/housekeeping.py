"""Work that is due now and then: event partitions ahead of need. Called by `app.py`, beside dispatching."""

from __future__ import annotations

import contextlib

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import PartitionsMade
from opscore.ports.dispatching import Dispatching
from opscore.runtime.leader import Leadership
from opscore.runtime.retry import persist
from opscore.runtime.service import Service

EVERY = 180.0


async def keep_house(control: Dispatching, leadership: Leadership, service: Service) -> None:
    """Tidy up until a stop is asked for."""
    stopping = service.stopping
    while not stopping.draining:
        if leadership.held:
            with contextlib.suppress(ControlPlaneUnavailable):  # raised only once a stop is asked for
                made = await persist(
                    control.ensure_event_partitions, "housekeeping", service, until=lambda: stopping.draining
                )
                if made:
                    service.observer.notice(PartitionsMade(made))
        await stopping.pause(EVERY, service.clock)
