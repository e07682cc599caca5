"""Seals the event log batch by batch and signs what was sealed. Called by `app.py`, beside dispatching.

Sealing costs the database about five microseconds per event. While there is more than one batch to seal, the time
between batches is a multiple of what a batch took, so that whatever made that many events keeps most of the machine.
"""

from __future__ import annotations

import contextlib

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import EventsSealed
from opscore.ports.housekeeping import Housekeeping, Sealed
from opscore.runtime.leader import Leadership
from opscore.runtime.retry import persist
from opscore.runtime.service import Service
from opscore.signing import Signer

EVERY = 5.0
BATCH = 20_000
REST = 3.0  # times what a full batch took


async def keep_sealed(house: Housekeeping, leadership: Leadership, service: Service, signer: Signer | None) -> None:
    """Seal and sign while leading, until a stop is asked for. signer: None leaves the chain unsigned."""
    stopping = service.stopping
    while not stopping.draining:
        sealed, took = None, 0.0
        if leadership.held:
            started = service.clock.monotonic()
            with contextlib.suppress(ControlPlaneUnavailable):  # raised only once a stop is asked for
                sealed = await persist(
                    lambda: seal_once(house, service, signer), "seal", service, until=lambda: stopping.draining
                )
            took = service.clock.monotonic() - started
        full = sealed is not None and sealed.events >= BATCH
        await stopping.pause(took * REST if full else EVERY, service.clock)


async def seal_once(house: Housekeeping, service: Service, signer: Signer | None) -> Sealed | None:
    """Seal one batch and sign its head. A head left unsigned by a crash is covered by the next one's signature."""
    sealed = await house.seal_events(BATCH)
    if sealed is None:
        return None
    service.observer.notice(EventsSealed(sealed.events, sealed.head.n))
    if signer is not None:
        await house.sign_seal(sealed.head, signer.key_id, signer.sign(sealed.head))
    return sealed
