"""What a service says when its doorbell starts or stops being proven. Handed to the listener by every `app.py`."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from opscore.domain.errors import ControlPlaneUnavailable
from opscore.observe.observation import ListenerProven, ListenerUnproven
from opscore.ports.wakeups import Wakeups
from opscore.runtime.service import Service

LISTENER = "listener"
PROOF_TRIES, PROOF_EVERY = 100, 0.05


def doorbell_reports(service: Service) -> Callable[[bool], None]:
    """A callback for each change of the listener's proof; until the first one it counts as unproven."""
    service.health.ill(LISTENER, "not connected yet")

    def report(healthy: bool) -> None:  # noqa: FBT001 - the listener's signature
        if healthy:
            service.health.well(LISTENER)
            service.observer.notice(ListenerProven())
        else:
            service.health.ill(LISTENER, "its notifications do not come back; scanning instead")
            service.observer.notice(ListenerUnproven())

    return report


async def answers(wakeups: Wakeups) -> None:
    """Wait until the doorbell proves itself. Raises ControlPlaneUnavailable when it does not."""
    for _ in range(PROOF_TRIES):
        if wakeups.healthy:
            return
        await anyio.sleep(PROOF_EVERY)
    raise ControlPlaneUnavailable(
        reason="a notification sent over LAKEHOUSE_DIRECT_URL did not come back",
        hint="LISTEN needs a direct connection or a session pooler; point LAKEHOUSE_DIRECT_URL at one.",
    )
